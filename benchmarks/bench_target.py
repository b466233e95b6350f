"""Calls per second of a local target whose histories grow, against re-encoding each prefix.

Two peers, same model, same sessions, same machine, same run:

- fixed: every prefix is padded to the full window and encoded, as published extraction code does;
- prefix: every prefix is encoded at its own length.

The weights are random: speed does not depend on them. Bars: 5,000 calls/s on 2 cores, 10 x fixed.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from recsec.data.catalog import Catalog
from recsec.models import SasRec, SasRecConfig, mask_history, top_k
from recsec.runs import environment
from recsec.targets import Budget, CallableTarget, LocalTarget, MeteredTarget
from recsec.types import IntArray

Ask = Callable[[IntArray], IntArray]


def grow(ask: Ask, sessions: int, steps: range, items: int) -> np.ndarray:
    """Sessions that take one of the served items at each step; the asking alone is timed.

    Returns:
        Calls made, seconds spent in ``ask``, and seconds of processor time of all threads.
    """
    rng = np.random.default_rng(0)
    histories = rng.integers(1, items + 1, (sessions, steps.start))
    spent = np.zeros(3)
    for _ in steps:
        start = np.array([0, time.perf_counter(), time.process_time()])
        lists = ask(histories)
        spent += np.array([len(histories), time.perf_counter(), time.process_time()]) - start
        chosen = lists[np.arange(sessions), rng.integers(0, lists.shape[1], sessions)]
        histories = np.column_stack([histories, chosen])
    return spent


def fixed_window(model: SasRec, k: int, length: int) -> Ask:
    """The plain loop: each prefix as a window of ``length`` positions."""

    @torch.no_grad()
    def ask(histories: IntArray) -> IntArray:
        windows = torch.from_numpy(np.pad(histories, ((0, 0), (0, length - histories.shape[1]))))
        hidden = model.eval().hidden(windows)[:, histories.shape[1] - 1]
        scores = mask_history(model.scores_of(hidden), windows)
        return top_k(scores, k).numpy()

    return ask


def machine() -> str:
    """Processor, cores, load and versions."""
    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else ():
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    found = environment()
    versions = ", ".join(f"{key} {value}" for key, value in found["versions"].items())
    load = os.getloadavg()[0]
    return (
        f"machine   {name}, {os.cpu_count()} cores, "
        f"load {load:.1f} at the end\nversions  {versions}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=3416, help="size of the catalog (ML-1M)")
    parser.add_argument("--sessions", type=int, default=50, help="histories grown side by side")
    parser.add_argument("--length", type=int, default=200, help="items per session")
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of these counts")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], help="of torch, tried all"
    )
    parser.add_argument("--note", help="printed with the numbers, for instance the command line")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()

    catalog = Catalog.from_ids(range(1, options.items + 1))
    torch.manual_seed(0)
    model = SasRec(catalog, SasRecConfig(max_length=options.length))
    whole = range(1, options.length + 1)
    tail = range(options.length - 4, options.length + 1)

    def timed(ask: Ask, *parts: range) -> tuple[float, float]:
        """Calls per second, and per second of processor time, over parts of the growth."""
        runs = [grow(ask, options.sessions, steps, options.items) for steps in parts]
        calls, seconds, processor = np.sum(runs, axis=0)
        return calls / seconds, calls / processor

    def incremental() -> tuple[float, float]:
        target = LocalTarget(model)
        return timed(lambda h: target.query("a", h, options.k), whole)

    def metered() -> tuple[float, float]:
        budget = Budget(calls=options.sessions * options.length, k=options.k)
        with (
            tempfile.TemporaryDirectory() as folder,
            MeteredTarget(LocalTarget(model), budget=budget, folder=Path(folder)) as meter,
        ):
            return timed(lambda h: meter.query("a", h, options.k), whole)

    def prefix() -> tuple[float, float]:
        sample = [range(at, at + 2) for at in range(5, options.length, 10)]
        return timed(lambda h: model.top_k(h, options.k), *sample)

    def function() -> tuple[float, float]:
        """The prefix peer as somebody's function, one record after each chunk."""

        def recommend(histories: list[list[int]], k: int) -> list[list[int]]:
            width = max(map(len, histories))
            rows = [row + [0] * (width - len(row)) for row in histories]
            lists: list[list[int]] = model.top_k(np.array(rows), k).tolist()
            return lists

        sample = [range(at, at + 2) for at in range(5, options.length, 10)]
        budget = Budget(calls=options.sessions * options.length, k=options.k)
        with (
            tempfile.TemporaryDirectory() as folder,
            MeteredTarget(
                CallableTarget(recommend, catalog), budget=budget, folder=Path(folder)
            ) as meter,
        ):
            return timed(lambda h: meter.query("a", h, options.k), *sample)

    def fixed() -> tuple[float, float]:
        return timed(fixed_window(model, options.k, options.length), tail)

    ways = {
        "incremental": incremental,
        "with meter and transcript": metered,
        "prefix": prefix,
        "prefix, function and meter": function,
        "fixed": fixed,
    }
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in ways}
    for threads in options.threads * options.repeats:
        torch.set_num_threads(threads)
        for name, way in ways.items():
            found[name].append((*way(), threads))
    best = {name: max(runs) for name, runs in found.items()}
    processor = {name: max(rate for _, rate, _ in runs) for name, runs in found.items()}
    lines = [
        machine(),
        f"setting   SASRec with default settings, {options.items} items, k={options.k}, "
        f"{options.sessions} sessions of {options.length}",
        f"counted   the fastest of {options.repeats} runs with each of {options.threads} threads;",
        "          per processor second: what one undisturbed core would do",
        "",
        f"{'':28}{'calls/s':>10}{'x fixed':>10}{'threads':>10}{'per processor s':>18}{'x':>8}",
    ]
    for name, (rate, _, threads) in best.items():
        ratio, own = rate / best["fixed"][0], processor[name] / processor["fixed"]
        lines.append(
            f"{name:28}{rate:>10,.0f}{ratio:>10.1f}{threads:>10}{processor[name]:>18,.0f}{own:>8.1f}"
        )
    rate, ratio = best["incremental"][0], best["incremental"][0] / best["fixed"][0]
    lines.append("")
    lines.append(f"bar 5,000 calls/s: {'met' if rate >= 5000 else 'MISSED'}")
    lines.append(f"bar 10 x fixed:    {'met' if ratio >= 10 else 'MISSED'}")
    if options.note:
        lines.append(f"note: {options.note}")
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.out is not None:
        options.out.write_text(text)


if __name__ == "__main__":
    main()

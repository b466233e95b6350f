"""Calls per second of a guarded target, as a share of the same target without guards.

Same model, same growing sessions, same machine, same run, one thread. The weights are random:
speed does not depend on them. Bar: 5,000 calls/s, that of a local target without guards.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from bench_target import grow, machine

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.models import SasRec, SasRecConfig
from recsec.targets import LocalTarget
from recsec.targets.guards import (
    Guard,
    Misinform,
    Quantize,
    Reverse,
    Shuffle,
    Surroundings,
    Watermark,
)

PEOPLE = 2000
"""Histories that guards may learn from."""


def differing(model: SasRec, guard: Misinform, items: int, length: int) -> tuple[int, int]:
    """Decisions with kept ranks that are others than those found anew, and how many there were.

    Half of the sessions go on from the lists that they are served, as thieves do.
    """
    rng = np.random.default_rng(1)
    histories, target = rng.integers(1, items + 1, (40, 1)), LocalTarget(model)
    other = asked = 0
    for _ in range(length - 1):
        scores = model.scores(histories)
        kept = guard.law.suspicion(guard.kept.ranks(histories, scores)) > guard.threshold
        anew = np.isin(np.arange(len(histories)), guard.suspected(histories))
        other, asked = other + int((kept != anew).sum()), asked + len(histories)
        newest = rng.integers(1, items + 1, len(histories))
        newest[:20] = target.query("a", histories[:20], 10)[np.arange(20), rng.integers(0, 10, 20)]
        histories = np.column_stack([histories, newest])
    return other, asked


def live(model: SasRec, guards: list[Guard], items: int, length: int) -> tuple[float, float]:
    """Median milliseconds of processor time of one history that grows, and of one that is new."""
    rng, target = np.random.default_rng(2), LocalTarget(model, guards)
    grown, new = [], []
    history = rng.integers(1, items + 1, (1, length))
    for end in range(1, length + 1):
        for account, asked, taken in (
            ("a", history[:, :end], grown),
            ("b", rng.integers(1, items + 1, (1, length)), new),
        ):
            begun = time.thread_time()
            target.query(account, asked, 10)
            taken.append(time.thread_time() - begun)
    return 1000 * float(np.median(grown)), 1000 * float(np.median(new))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=3416, help="size of the catalog (ML-1M)")
    parser.add_argument("--sessions", type=int, default=50, help="histories grown side by side")
    parser.add_argument("--length", type=int, default=100, help="items per session")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of these counts")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = SasRec(
        Catalog.from_ids(range(1, options.items + 1)), SasRecConfig(max_length=options.length)
    )
    model.initialize(torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    rows = rng.integers(1, options.items + 1, (PEOPLE, options.length)).tolist()
    known = Sequences.from_lists(model.catalog, rows)
    surroundings = Surroundings(model, known)
    begun = time.perf_counter()
    quantize = Quantize.build(Quantize.config_class(), surroundings)
    stored = time.perf_counter() - begun
    begun = time.perf_counter()
    misinform = Misinform.build(Misinform.config_class(), surroundings)
    fitted = time.perf_counter() - begun
    settings: dict[str, list[Guard]] = {
        "none": [],
        "reverse": [Reverse()],
        "shuffle": [Shuffle()],
        "watermark": [Watermark(b"k" * 32, known.counts)],
        "quantize": [quantize],
        "misinform": [misinform],
        "watermark + quantize": [Watermark(b"k" * 32, known.counts), quantize],
    }
    best = dict.fromkeys(settings, 0.0)
    for _ in range(options.repeats):
        for name, guards in settings.items():
            target = LocalTarget(model, guards)
            calls, _, processor = grow(
                lambda asked, target=target: target.query("a", asked, options.k),
                options.sessions,
                range(1, options.length + 1),
                options.items,
            )
            best[name] = max(best[name], calls / processor)
    grown, new = live(model, [misinform], options.items, options.length)
    bare, _ = live(model, [], options.items, options.length)
    other, asked = differing(model, misinform, options.items, options.length)
    lines = [
        machine(),
        f"setting   SASRec with default settings, {options.items} items, k={options.k}, "
        f"{options.sessions} sessions of {options.length}, one thread",
        f"counted   calls per second of processor time, the fastest of {options.repeats} runs",
        "",
        f"{'guards':24}{'calls/s':>10}{'x none':>8}",
    ]
    lines += [f"{name:24}{rate:>10,.0f}{rate / best['none']:>8.2f}" for name, rate in best.items()]
    lines += [
        "",
        f"storing the lists of quantize: {stored:.1f} s, once per process",
        f"fitting misinform to {PEOPLE:,} histories: {fitted:.1f} s, once per process",
        f"misinform, histories of {options.length}: one that grows {grown:.2f} ms a call "
        f"({bare:.2f} without guards), one never asked before {new:.2f} ms; medians   "
        f"bar 2 ms of the first: {'met' if grown < 2 else 'MISSED'}",
        f"decisions of misinform with kept ranks that differ from those found anew: {other} of "
        f"{asked:,}",
        *(f"bar 5,000 calls/s: missed by {name}" for name, rate in best.items() if rate < 5000),
    ]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.out is not None:
        options.out.write_text(text)


if __name__ == "__main__":
    main()

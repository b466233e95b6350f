"""Queries per second of the detectors, and SEAT's time per query with 10,000 remembered.

With ``--log`` instead: ``recsec detect`` on a large made-up log of Parquet, each run in a process
of its own: processor time, the most memory, what saves cost, accounts shared among processes.
Bars: saves cost at most 10 %; a million accounts fit in 4 GiB.

Bars: accepted-rank and transition, each 20,000 queries/s on one core with following included; SEAT
below 1 ms at the 99th percentile with 10,000 remembered queries of the account. The reference of
SEAT is the plain loop over all previous queries.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.detection import (
    COMBINED,
    AcceptedRank,
    AcceptedRankConfig,
    Calibration,
    Continuity,
    Detector,
    DetectorConfig,
    FitData,
    Fitted,
    Linker,
    Scale,
    Seat,
    SeatConfig,
    Transition,
    TransitionConfig,
)
from recsec.detection.detectors.seat import Remembered
from recsec.rng import Streams
from recsec.targets.meter.segments import Calls
from recsec.traffic import Follower, Query, QueryLog

ITEMS, K, LENGTH = 3416, 10, 100


def made_up(accounts: int, *, length: int = LENGTH) -> QueryLog:
    """Growing histories of ``length`` items, all accounts in turns."""
    rng = np.random.default_rng(0)
    n = accounts * length
    calls = Calls(
        call=np.arange(n),
        account=[f"account-{row % accounts}" for row in range(n)],
        parent=np.arange(n) - accounts,
        items=rng.integers(1, ITEMS + 1, n).astype(np.int32),
        offsets=np.arange(n + 1),
        k=np.full(n, K),
        answers=rng.integers(1, ITEMS + 1, (n, K)).astype(np.int32),
    )
    return QueryLog(Catalog.from_ids(list(range(ITEMS))), calls)


def fitted() -> list[Detector]:
    """The three counting detectors, on made-up people."""
    rng = np.random.default_rng(1)
    catalog = Catalog.from_ids(list(range(ITEMS)))
    rows = [(rng.permutation(ITEMS)[:150] + 1).tolist() for _ in range(1000)]
    log = made_up(100)
    steps = Follower().follow_rows(log, np.arange(len(log)))
    data = FitData(catalog, Sequences.from_lists(catalog, rows), (steps,) * 4, Streams(0))
    return [
        AcceptedRank.fit(data, AcceptedRankConfig()),
        Transition.fit(data, TransitionConfig()),
        Continuity.fit(data, DetectorConfig()),
    ]


def rates(accounts: int) -> list[str]:
    """Queries per processor second: following, each detector alone, and both together."""
    log = made_up(accounts)
    blocks = list(log.blocks(16_384))
    start = time.process_time()
    follower = Follower()
    followed = [follower.follow_rows(log, rows) for rows in blocks]
    following = time.process_time() - start
    lines = [f"{'following':<32}{len(log) / following:>12,.0f}"]
    for one in fitted():
        detector = one.fresh()
        start = time.process_time()
        for steps in followed:
            detector.observe(steps)
        alone = time.process_time() - start
        rate, both = len(log) / alone, len(log) / (alone + following)
        verdict = (
            "" if detector.name == "continuity" else f"   bar 20,000: {verdict_of(both > 2e4)}"
        )
        lines.append(f"{detector.name:<32}{rate:>12,.0f}{both:>18,.0f}{verdict}")
    return lines


def verdict_of(met: bool) -> str:
    return "met" if met else "MISSED"


def many(accounts: int) -> list[str]:
    """Two queries of each of very many accounts."""
    log = made_up(accounts, length=2)
    start = time.process_time()
    follower, detectors = Follower(), [one.fresh() for one in fitted()[:2]]
    start = time.process_time()
    for rows in log.blocks(16_384):
        steps = follower.follow_rows(log, rows)
        for one in detectors:
            one.observe(steps)
    seconds = time.process_time() - start
    return [f"{accounts:,} accounts, 2 queries each: {len(log) / seconds:,.0f} queries/s, both"]


def plain_nearest(earlier: list[np.ndarray], vector: np.ndarray) -> float:
    """The loop over all previous queries."""
    nearest = float("inf")
    for one in earlier:
        difference = one - vector
        nearest = min(nearest, float(difference @ difference))
    return nearest**0.5


def seat(remembered: int) -> list[str]:
    """Milliseconds per query, encoding and following included, against the plain loop."""
    rng = np.random.default_rng(2)
    config = SeatConfig(sessions=False, steps=1, attack_steps=1)
    catalog = Catalog.from_ids(list(range(ITEMS)))
    rows = [(rng.permutation(ITEMS)[:60] + 1).tolist() for _ in range(200)]
    data = FitData(catalog, Sequences.from_lists(catalog, rows), (), Streams(0))
    steps = Follower().follow_rows(made_up(20), np.arange(2000))
    detector = Seat.fit(FitData(catalog, data.histories, (steps,), Streams(0)), config).fresh()
    width, memory = config.width, Remembered.empty(config.remembered, config.width)
    vectors = rng.normal(size=(remembered, width)).astype(np.float32)
    for vector in vectors:
        memory.add(vector, 0, collapse=False)
    detector.update("a", Query(np.array([1]), np.zeros(K, np.int64)))
    detector._memory[0] = memory
    taken, wall = [], []
    for _ in range(2000):
        history = rng.integers(1, ITEMS + 1, 50)
        query = Query(history, rng.integers(1, ITEMS + 1, K))
        start = [time.thread_time(), time.perf_counter()]
        detector.update("a", query)
        taken.append(1000 * (time.thread_time() - start[0]))
        wall.append(1000 * (time.perf_counter() - start[1]))
    earlier, loops, fast = list(vectors), [], []
    for _ in range(20):
        vector = rng.normal(size=width).astype(np.float32)
        start = time.process_time()
        plain_nearest(earlier, vector)
        loops.append(1000 * (time.process_time() - start))
    full = Remembered.empty(config.remembered, width)
    for vector in vectors:
        full.add(vector, 0, collapse=False)
    for _ in range(200):
        vector = rng.normal(size=width).astype(np.float32)
        start = time.perf_counter()
        full.nearest(vector, None)
        fast.append(1000 * (time.perf_counter() - start))
    if not np.isclose(
        full.nearest(vectors[7] + 0.01, None), plain_nearest(earlier, vectors[7] + 0.01), rtol=1e-4
    ):
        raise SystemExit("the two ways disagree")
    p99 = float(np.quantile(taken, 0.99))
    ratio = np.median(loops) / np.median(fast)
    return [
        f"SEAT, {remembered:,} remembered: median {np.median(taken):.3f} ms a query, "
        f"p99 {p99:.3f} ms of processor time   bar 1 ms: {verdict_of(p99 < 1)}",
        f"by the wall clock, other jobs included: median {np.median(wall):.3f} ms, "
        f"p99 {np.quantile(wall, 0.99):.3f} ms",
        f"nearest previous query alone: {np.median(fast):.3f} ms; plain loop "
        f"{np.median(loops):.1f} ms; ratio {ratio:.0f} x",
    ]


def write_large(path: Path, accounts: int, queries: int, *, at_once: int = 200_000) -> None:
    """Growing histories of ``queries`` items, all accounts in turns; whole histories, as APIs log.

    In slices of accounts, so that an account is alive for a while and all are remembered.
    """
    rng = np.random.default_rng(0)
    path.mkdir()
    call = 0
    for first in range(0, accounts, at_once):
        names = [f"account-{number:08}" for number in range(first, min(first + at_once, accounts))]
        items = rng.integers(1, ITEMS + 1, (len(names), queries), dtype=np.int32)
        for step in range(queries):
            table = pl.DataFrame(
                {
                    "call": np.arange(call, call + len(names)),
                    "account": names,
                    "items": pl.Series(items[:, : step + 1]).arr.to_list(),
                    "answer": pl.Series(
                        rng.integers(1, ITEMS + 1, (len(names), K), dtype=np.int32)
                    ).arr.to_list(),
                }
            )
            table.write_parquet(path / f"part-{call:012}.parquet")
            call += len(names)


def detectors_of(folder: Path) -> None:
    """A folder of the detectors that count, and of the linker."""
    rng = np.random.default_rng(1)
    catalog = Catalog.from_ids(list(range(1, ITEMS + 1)))
    log = made_up(100)
    steps = Follower().follow_rows(log, np.arange(len(log)))
    rows = [(rng.permutation(ITEMS)[:150] + 1).tolist() for _ in range(1000)]
    data = FitData(catalog, Sequences.from_lists(catalog, rows), (steps,) * 4, Streams(0))
    found = {
        "accepted-rank": AcceptedRank.fit(data, AcceptedRankConfig()),
        "transition": Transition.fit(data, TransitionConfig()),
        "continuity": Continuity.fit(data, DetectorConfig()),
    }
    points = np.array([20])
    scale = Scale(points, np.zeros(1), np.ones(1))
    honest = (rng.normal(size=500),)
    Fitted(
        catalog,
        found,
        dict.fromkeys(found, scale),
        {label: Calibration(points, honest) for label in (*found, COMBINED)},
        Linker(np.zeros((ITEMS + 1, 8), np.float32), 0.0),
        {},
    ).save(folder)


RUN = """
import os, resource, sys, time
from pathlib import Path
import numpy as np
from recsec.detection import Fitted, Watch, follow_log
from recsec.traffic import Shard, open_log, read_log
folder, how, state, at, of = sys.argv[1:]
place = Path(folder)
fitted = Fitted.load(place / "D")
save, saves = Watch.save, []
def timed(watch, path):
    begun = time.process_time()
    save(watch, path)
    saves.append(time.process_time() - begun)
Watch.save = timed
begun = time.process_time()
log = (read_log if how == "whole" else open_log)(place / "log", fitted.catalog)
shard = Shard(int(at), int(of)) if int(of) > 1 else None
watch = follow_log(fitted, log, state=Path(state) if state else None, shard=shard)
seconds = time.process_time() - begun
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, sum(saves), len(saves))
"""


def ran(place: Path, how: str, state: Path | None = None, at: int = 0, of: int = 1) -> Any:
    """Seconds of processor time, GiB at the most, seconds in saves, and how many saves."""
    words = [sys.executable, "-c", RUN, str(place), how, str(state or ""), str(at), str(of)]
    threads = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=threads)
    seconds, memory, saving, saves = done.stdout.split()
    return float(seconds), float(memory), float(saving), int(saves)


def large(accounts: int, queries: int, runs: list[str], n_pairs: int) -> list[str]:
    """One log: in batches; and as asked, read whole, with a state, and in two shards."""
    middle = n_pairs // 2
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        detectors_of(place / "D")
        write_large(place / "log", accounts, queries)
        n = accounts * queries
        lines = [f"{accounts:,} accounts, {n:,} queries", ""]
        lines.append(f"{'':36}{'seconds':>9}{'queries/s':>11}{'GiB':>7}{'ratio':>8}")
        pairs = [
            (ran(place, "parts"), ran(place, "parts", place / f"state-{at}"))
            for at in range(n_pairs if "state" in runs else 0)
        ]
        plain = sorted(one for one, _ in pairs)[middle] if pairs else ran(place, "parts")
        last = []

        def line(title: str, seconds: float, memory: float, *_: float) -> float:
            ratio = seconds / plain[0]
            lines.append(
                f"{title:36}{seconds:>9.1f}{n / seconds:>11,.0f}{memory:>7.2f}{ratio:>8.2f}"
            )
            return ratio

        line("in batches", *plain)
        if "whole" in runs:
            line("read whole", *ran(place, "whole"))
        if "state" in runs:
            line("in batches, --state", *sorted(one for _, one in pairs)[middle])
            ratios = sorted(saved[0] / alone[0] - 1 for alone, saved in pairs)
            size = (place / "state-0").stat().st_size / 1e6
            inside = sorted((one[2] / (one[0] - one[2]), one[3]) for _, one in pairs)
            met = verdict_of(max(ratios[middle], inside[middle][0]) <= 0.1)
            last.append(
                f"in the runs themselves, saves beside the rest: {inside[middle][0]:+.1%} "
                f"({inside[0][0]:+.1%} to {inside[-1][0]:+.1%}), {inside[middle][1]} saves"
            )
            last.append(
                f"saves of {size:,.0f} MB: {ratios[middle]:+.1%} at the median of {n_pairs} "
                f"pairs, {ratios[0]:+.1%} to {ratios[-1]:+.1%}   bar 10 %: {met}"
            )
        if "shards" in runs:
            shards = [ran(place, "parts", None, at, 2) for at in range(2)]
            line("the slower of two processes", *max(shards, key=lambda one: one[0]))
        rate = plain[1] / accounts * 2**20
        last.append(f"memory: {plain[1]:.2f} GiB, {rate:.2f} kiB an account with all else")
        if accounts >= 1_000_000:
            last[-1] += f"   bar 4 GiB: {verdict_of(plain[1] <= 4)}"
        return [*lines, "", *last]


def main() -> None:
    """Measure, print, and keep what was printed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=1000, help="of the rates; 100 queries each")
    parser.add_argument("--many", type=int, default=1_000_000, help="of the wide log")
    parser.add_argument("--out", type=Path, help="also write what is printed to this file")
    parser.add_argument("--log", type=int, nargs=2, metavar=("ACCOUNTS", "QUERIES"))
    parser.add_argument(
        "--runs", nargs="*", default=["state", "shards"], help="whole, state, shards"
    )
    parser.add_argument(
        "--pairs", type=int, default=3, help="runs without and with a state, one after the other"
    )
    chosen = parser.parse_args()
    lines = [
        f"{os.cpu_count()} cores, {platform.machine()}; Python {platform.python_version()}, "
        f"numpy {np.__version__}; load average before: {os.getloadavg()[0]:.1f}",
        f"made-up queries: {ITEMS} items, lists of {K}, histories growing to {LENGTH}; "
        "seconds are those of one processor",
        "",
        *(large(*chosen.log, chosen.runs, chosen.pairs) if chosen.log else small(chosen)),
    ]
    print("\n".join(lines))
    if chosen.out is not None:
        with chosen.out.open("a" if chosen.log else "w") as file:
            file.write("\n".join(lines) + "\n\n")


def small(chosen: argparse.Namespace) -> list[str]:
    """What is measured without ``--log``."""
    return [
        f"{'':<32}{'alone':>12}{'with following':>18}",
        *rates(chosen.accounts),
        "",
        *many(chosen.many),
        "",
        *seat(10_000),
    ]


if __name__ == "__main__":
    main()

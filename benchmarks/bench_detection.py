"""Queries per second of the detectors, and SEAT's time per query with 10,000 remembered.

Bars: accepted-rank and transition, each 20,000 queries/s on one core with following included; SEAT
below 1 ms at the 99th percentile with 10,000 remembered queries of the account. The reference of
SEAT is the plain loop over all previous queries.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.detection import (
    AcceptedRank,
    AcceptedRankConfig,
    Continuity,
    Detector,
    DetectorConfig,
    FitData,
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


def main() -> None:
    """Measure, print, and keep what was printed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=1000, help="of the rates; 100 queries each")
    parser.add_argument("--many", type=int, default=1_000_000, help="of the wide log")
    parser.add_argument("--out", type=Path, help="also write what is printed to this file")
    chosen = parser.parse_args()
    lines = [
        f"{os.cpu_count()} cores, {platform.machine()}; Python {platform.python_version()}, "
        f"numpy {np.__version__}; load average before: {os.getloadavg()[0]:.1f}",
        f"made-up queries: {ITEMS} items, lists of {K}, histories growing to {LENGTH}; "
        "queries per processor second",
        "",
        f"{'':<32}{'alone':>12}{'with following':>18}",
        *rates(chosen.accounts),
        "",
        *many(chosen.many),
        "",
        *seat(10_000),
    ]
    print("\n".join(lines))
    if chosen.out is not None:
        chosen.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

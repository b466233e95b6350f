"""Pools of young accounts: false alarms for people by how they ask, and thieves found.

    recsec train sasrec --data ml-1m --out runs/ml1m
    python benchmarks/pooled.py --model runs/ml1m --data ml-1m

People are users whom the detectors never saw, under the law and the patterns of
people_detection.py, which were not fitted, ten queries each. Pools mix the patterns in random
shares. Thieves go to a new account after ten calls; people join their pools.
Ten minutes of one core.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from people_detection import MEASURED, TESTED, Remembering, side_by_side, thieves

from recsec import __version__
from recsec.data import load
from recsec.detection import FitConfig, Fitted, account_table, fit_detectors, split_users
from recsec.models import load as load_model
from recsec.rng import Streams
from recsec.runs import atomic_write_bytes
from recsec.stats import clopper_pearson
from recsec.targets import LocalTarget
from recsec.traffic import QueryLog, pattern_log
from recsec.types import FloatArray

RESULTS = Path(__file__).parent / "results" / "pooled.txt"
SIZES = (50, 150)
POOLS = 60
EACH, FEW = 20, 20
SHARES = (1.0, 0.5, 0.25, 0.1)
LEVELS = (0.1, 0.05, 0.01)
STRICT = 0.01 / 24
"""What a rule of 0.01 spends on a look."""


def rows(fitted: Fitted, log: QueryLog) -> FloatArray:
    """Scores of each account after ten queries."""
    kept = fitted.population
    assert kept is not None
    table = account_table(fitted.watch(), log, [kept.queries], {})
    wide = table.pivot("detector", index="account", values="score").drop_nulls()
    return wide.select(kept.labels).to_numpy().astype(np.float64)


def drawn(
    people: Mapping[str, FloatArray], shares: FloatArray, size: int, rng: np.random.Generator
) -> FloatArray:
    """A pool of people with these shares of patterns."""
    counts = rng.multinomial(size, shares)
    parts = [
        own[rng.choice(len(own), n, replace=n > len(own))]
        for own, n in zip(people.values(), counts.tolist(), strict=True)
    ]
    return np.concatenate(parts)


def imitators(asked: Remembering, accounts: int, rng: np.random.Generator) -> QueryLog:
    """Ranks as people draw them, (r + 2.25)^-1.3 over the target's own order; no taste."""
    n = len(asked.catalog)
    law = (np.arange(1, n + 1) + 2.25) ** -1.3

    def step(_: int, history: list[int], shown: np.ndarray) -> list[int]:
        if not history:
            return [int(rng.integers(1, n + 1))]
        order = asked.target.query("thief", np.array([history]), n)[0]
        order = order[order > 0]
        return [*history, int(rng.choice(order, p=law[: len(order)] / law[: len(order)].sum()))]

    return side_by_side(asked, list(range(accounts)), step, 11)


def told(hits: int, n: int) -> str:
    interval = clopper_pearson(hits, n)
    return f"{hits} of {n} [{100 * interval.low:.1f}, {100 * interval.high:.1f}] %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--users", type=int, default=400)
    parser.add_argument("--tested", type=int, default=400)
    parser.add_argument("--detectors", type=Path, help="kept here")
    args = parser.parse_args()
    began = time.time()
    people = load(args.data).sequences()
    target = LocalTarget(load_model(args.model))
    streams = Streams(0)
    config = FitConfig(users=args.users, queries=20)
    groups = split_users(people, streams, least=20, most=args.users)
    if args.detectors and (args.detectors / "detectors.safetensors").exists():
        fitted = Fitted.load(args.detectors)
    else:
        fitted, _, _ = fit_detectors(
            target.recommender, people, config, streams=streams, groups=groups
        )
    if args.detectors:
        fitted.save(args.detectors)
    kept = fitted.population
    assert kept is not None
    print(f"fitted after {time.time() - began:.0f} s, {len(kept.rows)} rows", flush=True)
    rng = streams.numpy("pools")
    users = groups.test[: args.tested]
    honest = {
        name: rows(
            fitted,
            pattern_log(target, people, users, MEASURED, one, queries=20, k=10, rng=rng),
        )
        for name, one in TESTED.items()
    }
    print(f"people after {time.time() - began:.0f} s", flush=True)
    lines = [
        f"{args.data}, {platform.machine()}, recsec {__version__}; fitted to {args.users} users;",
        f"tested are {len(users)} others, with another law and patterns",
        "",
        "Honest pools, alarms at p <= 0.1 / 0.05 / 0.01 (95 % interval at 0.01)",
    ]
    even = np.full(len(honest), 1 / len(honest))
    kinds = {"every pattern alike": even} | {
        name: np.eye(len(honest))[at] for at, name in enumerate(honest)
    }
    for size in SIZES:
        p = np.array(
            [
                kept.test(
                    drawn(honest, rng.dirichlet(np.full(len(honest), 0.5)), size, rng), rng=rng
                ).p_value
                for _ in range(POOLS)
            ]
        )
        shares = " / ".join(f"{100 * (p <= level).mean():.1f}" for level in LEVELS)
        lines.append(
            f"{size:>4} accounts, patterns mixed at random: {shares} %; "
            f"{told(int((p <= 0.01).sum()), POOLS)}; at {STRICT:.2g}: {int((p <= STRICT).sum())}"
        )
        print(lines[-1], flush=True)
    for name, shares in kinds.items():
        p = np.array(
            [kept.test(drawn(honest, shares, 150, rng), rng=rng).p_value for _ in range(EACH)]
        )
        lines.append(
            f" 150 accounts, {name}: {told(int((p <= 0.01).sum()), EACH)}; "
            f"at {STRICT:.2g}: {int((p <= STRICT).sum())}"
        )
        print(lines[-1], flush=True)
    lines += ["", f"Pools of 150 with thieves, found at {STRICT:.2g} (a rule of 0.01, one look)"]
    asked = Remembering(target.recommender)
    for policy, log in {
        "items of the catalog": thieves(asked, 1.0, 1, 300, 11),
        "four of five from the list": thieves(asked, 0.2, 1, 300, 11),
        "rank-law with a perfect copy": imitators(asked, 300, rng),
    }.items():
        found = rows(fitted, log)
        for share in SHARES:
            n = round(150 * share)
            p = np.array(
                [
                    kept.test(
                        np.concatenate(
                            [
                                found[rng.choice(len(found), n, replace=False)],
                                drawn(honest, even, 150 - n, rng),
                            ]
                        ),
                        rng=rng,
                    ).p_value
                    for _ in range(FEW)
                ]
            )
            lines.append(
                f"{policy}, {share:.0%} of the pool: {told(int((p <= STRICT).sum()), FEW)}"
            )
            print(lines[-1], flush=True)
    lines += ["", f"{time.time() - began:.0f} s"]
    atomic_write_bytes(RESULTS, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()

"""Fit detectors on the owner's own honest traffic: nothing is replayed or assumed."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsec.data.sequences import Sequences
from recsec.detection.calibration import CHECKPOINTS
from recsec.detection.fit import LEAST, FitConfig, Groups, learn
from recsec.detection.watch import Fitted
from recsec.errors import DataError
from recsec.models.base import Recommender
from recsec.rng import Streams
from recsec.traffic import EXTENDS, REPEATS, Follower, QueryLog
from recsec.types import IntArray, Progress

__all__ = ["OWN", "fit_on_log"]

OWN = "own traffic"
"""How the account table calls it, in place of a click law."""


def fit_on_log(
    recommender: Recommender,
    log: QueryLog,
    config: FitConfig,
    *,
    streams: Streams,
    progress: Progress | None = None,
) -> tuple[Fitted, pl.DataFrame, Groups]:
    """Thirds of the log's accounts fit, calibrate, and are left alone.

    A thief in the log is learned as one of the people. Of each account the first
    ``config.queries`` queries are used; laws and patterns of ``config`` are not.

    Args:
        recommender: the model that answered.
        log: honest traffic, with the lists that were served.
        config: which detectors, and how many accounts and queries at most.
        streams: randomness.
        progress: is told what goes on.

    Returns:
        The detectors, the account table of the first two groups, and the groups: numbers of
        accounts in the order in which they first asked.

    Raises:
        DataError: too few accounts with enough queries.
    """
    names, account = np.unique(np.array(log.calls.account), return_inverse=True)
    first = min(CHECKPOINTS[0], config.queries)
    made = _judged(log, names.tolist())
    able = np.flatnonzero(made >= first)
    if len(able) < 3 * LEAST:
        raise DataError(
            f"{len(able)} accounts of the log made at least {first} queries that repeat none; "
            f"three groups need {3 * LEAST}",
            hint="give a longer log, or fit on replayed users: --data NAME",
        )
    parts = np.array_split(streams.numpy("accounts").permutation(able), 3)
    groups = Groups(*(np.sort(part[: config.users]) for part in parts))
    order = np.argsort(account, kind="stable")
    starts = np.searchsorted(account[order], np.arange(len(names)))
    place = np.empty(len(log), dtype=np.int64)
    place[order] = np.arange(len(log)) - starts[account[order]]

    def of(numbers: IntArray) -> QueryLog:
        return log.select(np.flatnonzero(np.isin(account, numbers) & (place < config.queries)))

    fit, calibrate = of(groups.fit), of(groups.calibrate)
    half = groups.fit[: len(groups.fit) // 2]
    reached = [count for count in CHECKPOINTS if (made[groups.calibrate] >= count).sum() >= LEAST]
    checkpoints = np.array([count for count in reached if count <= config.queries] or [first])
    protocol = {
        "honest_traffic": "the owner's own log; what is wrong in it was learned too",
        "patterns": [],
        "laws": [],
        "restart": [],
        "times": "order only" if log.times is None else "clock times",
        "k": int(log.calls.k.max(initial=0)),
        "queries": config.queries,
        "checkpoints": checkpoints.tolist(),
        "users": {name: len(part) for name, part in vars(groups).items()},
        "least_items": first,
        "held_out": "from the detectors, not from the training of the recommender",
        "seed": streams.seed,
    }
    fitted, table = learn(
        recommender,
        histories_of(of(half)),
        frozenset(names[half].tolist()),
        config,
        {OWN: fit},
        {OWN: calibrate},
        checkpoints=checkpoints,
        streams=streams,
        protocol=protocol,
        progress=progress,
    )
    return fitted, table, groups


def histories_of(log: QueryLog) -> Sequences:
    """What accounts added, one row for each of their growing histories, whatever was sent of it."""
    steps = Follower().follow_rows(log, np.arange(len(log)))
    rows: dict[tuple[int, int], list[int]] = {}
    alone: dict[int, list[int]] = {}
    items, before, row = steps.pairs()
    begins = np.searchsorted(row, np.arange(len(steps) + 1))
    single = np.diff(steps.offsets) == 1
    for at in range(len(steps)):
        account, key = int(steps.account[at]), (int(steps.account[at]), int(steps.chain[at]))
        new = items[begins[at] : begins[at + 1]].tolist()
        follows = steps.kind[at] == EXTENDS and single[at] and before[begins[at]] > 0
        history = alone[account] if follows and account in alone else rows.setdefault(key, [])
        history += new
        if single[at] and steps.kind[at] != REPEATS:
            alone[account] = rows[key] = history
    return Sequences.from_lists(log.catalog, [one for one in _once(rows) if one])


def _once(rows: dict[tuple[int, int], list[int]]) -> list[list[int]]:
    """Each history once, also where several chains share it."""
    return list({id(one): one for one in rows.values()}.values())


def _judged(log: QueryLog, names: list[str]) -> IntArray:
    """``(A,)`` queries of each account that repeat none."""
    follower, made = Follower(), dict.fromkeys(names, 0)
    for rows in log.blocks(16_384):
        steps = follower.follow_rows(log, rows)
        counts = np.bincount(steps.account[steps.kind != REPEATS], minlength=len(steps.accounts))
        for name, count in zip(steps.accounts, counts.tolist(), strict=True):
            made[name] += count
    return np.fromiter(made.values(), np.int64, len(made))

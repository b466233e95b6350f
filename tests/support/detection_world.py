"""A small world for tests of detection: people, the model that serves them, and thieves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsec.data.sequences import Sequences
from recsec.detection import Fitted, Groups
from recsec.models.base import Recommender
from recsec.targets import LocalTarget
from recsec.targets.meter.segments import Calls
from recsec.traffic import ClickLaw, Follower, QueryLog, Steps, honest_log
from recsec.types import IntArray

DATA = "synthetic:users=700,items=160,length=40,seed=2"
QUERIES = 50
DETECTORS: dict[str, dict[str, Any]] = {
    "accepted-rank": {},
    "transition": {},
    "off-list": {},
    "continuity": {},
    "seat": {"steps": 10, "attack_steps": 1},
    "seat-raw": {"steps": 10, "attack_steps": 1},
    "prada": {},
    "prada-raw": {},
}


@dataclass(frozen=True)
class World:
    """Everything that is fitted once."""

    model: Recommender
    people: Sequences
    groups: Groups
    fitted: Fitted

    def honest(self, users: IntArray, law: ClickLaw, *, seed: int = 0) -> QueryLog:
        return honest_log(
            LocalTarget(self.model),
            self.people,
            users,
            law,
            queries=QUERIES,
            k=10,
            rng=np.random.default_rng(seed),
        )

    def thieves(
        self, kind: str, accounts: int, *, seed: int = 0, queries: int = QUERIES
    ) -> QueryLog:
        """One growing session per account: items uniform in the list, or in the catalog."""
        rng, n = np.random.default_rng(seed), len(self.people.catalog)
        histories = rng.integers(1, n + 1, (accounts, 1))
        target, lists = LocalTarget(self.model), []
        for _ in range(queries):
            lists.append(target.query("thief", histories, 10))
            listed = lists[-1][np.arange(accounts), rng.integers(0, 10, accounts)]
            item = listed if kind == "autoregressive" else rng.integers(1, n + 1, accounts)
            histories = np.column_stack([histories, item])
        rows = accounts * queries
        calls = Calls(
            call=np.arange(rows),
            account=[f"thief-{row % accounts}" for row in range(rows)],
            parent=np.arange(rows) - accounts,
            items=histories[:, :queries].T.ravel().astype(np.int32),
            offsets=np.arange(rows + 1),
            k=np.full(rows, 10),
            answers=np.concatenate(lists).astype(np.int32),
        )
        return QueryLog(self.people.catalog, calls)


def followed(log: QueryLog) -> Steps:
    return Follower().follow_rows(log, np.arange(len(log)))


def joined(*logs: QueryLog) -> QueryLog:
    """Several logs in turns, with whole histories."""
    total = sum(map(len, logs))
    parts = [log.select(np.arange(len(log))) for log in logs]
    moment = np.concatenate([np.linspace(0, 1, len(part)) for part in parts])
    order = np.argsort(moment, kind="stable")
    items = [
        part.calls.items[a:b]
        for part in parts
        for a, b in zip(part.calls.offsets[:-1], part.calls.offsets[1:], strict=True)
    ]
    names = [name for part in parts for name in part.calls.account]
    calls = Calls(
        call=np.arange(total),
        account=[names[row] for row in order],
        parent=np.full(total, -1),
        items=np.concatenate([items[row] for row in order]),
        offsets=np.cumsum([0, *(len(items[row]) for row in order)]),
        k=np.full(total, 10),
        answers=np.concatenate([part.calls.answers for part in parts])[order],
    )
    return QueryLog(logs[0].catalog, calls)

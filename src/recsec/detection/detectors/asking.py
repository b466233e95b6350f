"""Does the account ask in a way that the fit knows? A check of the fit, no sign of a thief."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy

from recsec.detection.base import CountingDetector, FitData
from recsec.traffic import BRANCHES, EXTENDS, REPEATS, STARTS, Steps
from recsec.types import FloatArray, IntArray

__all__ = ["WAYS", "Asking"]

WAYS = (
    "repeat an earlier query",
    "start with one item",
    "start with several items",
    "go on by one item",
    "go on by several items",
    "go on from a query a second time",
    "go on from an old history",
    "send one item",
)
"""What a share of an account's queries does; the columns of ``Asking.shares``."""

MOST = 60
"""Honest accounts kept of each law and pattern."""


class Asking(CountingDetector):
    """Distance of an account's way of asking from the nearest honest account's.

    A way of asking is the shares of an account's queries that do each of ``WAYS``; the distance is
    the largest difference of a share. It says nothing about items or ranks. Where many accounts ask
    in a way that nobody in the fit has, a client is at work that the fit doesn't know, and what
    the other detectors say of them means nothing.

    State: 9 numbers per account (72 bytes); merges exactly in any split.
    """

    name = "asking"
    width = len(WAYS) + 1

    @classmethod
    def fit(cls, data: FitData, config: Any) -> Self:
        """See ``Detector.fit``: remember how honest accounts ask."""
        rows = []
        for steps in (*data.honest, *data.habits):
            own = cls(config, {}, data.catalog)
            own.observe_counts(steps)
            rows.append(own.shares(own.counts)[:MOST])
        known = np.concatenate([np.zeros((0, len(WAYS))), *rows])
        return cls(config, {"known": np.unique(known, axis=0)}, data.catalog)

    def observe_counts(self, steps: Steps) -> None:
        """Take note of queries without scores."""
        codes = self._register(steps.accounts)[steps.account]
        np.add.at(self._counts, codes, self.increments(steps, codes))

    def increments(self, steps: Steps, codes: IntArray) -> IntArray:
        """One query each, and which of ``WAYS`` it goes."""
        kind, added = steps.kind, steps.added
        return np.column_stack(
            [
                np.ones(len(steps), dtype=bool),
                kind == REPEATS,
                (kind == STARTS) & (added <= 1),
                (kind == STARTS) & (added > 1),
                (kind == EXTENDS) & (added <= 1),
                (kind == EXTENDS) & (added > 1),
                kind == BRANCHES,
                (kind != STARTS) & (kind != REPEATS) & ~steps.near,
                np.diff(steps.offsets) == 1,
            ]
        ).astype(np.int64)

    @staticmethod
    def shares(counts: IntArray) -> FloatArray:
        """``(m, 8)`` shares of ``WAYS``, of numbers ``(m, 9)``."""
        found: FloatArray = counts[:, 1:] / np.maximum(counts[:, :1], 1)
        return found

    def score(self, counts: IntArray) -> FloatArray:
        """See ``CountingDetector.score``: in 0..1; 0 where nothing was fitted."""
        if len(self.fitted["known"]) == 0 or len(counts) == 0:
            return np.zeros(len(counts))
        distance, _ = self._known.query(self.shares(counts), p=np.inf)
        return np.asarray(distance, dtype=np.float64)

    def oddest(self, shares: FloatArray) -> str:
        """In words, what most sets an account ``(8,)`` apart from the nearest honest one."""
        _, nearest = self._known.query(shares, p=np.inf)
        known = self.fitted["known"][nearest]
        at = int(np.abs(shares - known).argmax())
        return (
            f"{shares[at]:.0%} of the queries {WAYS[at]}; of the nearest honest account's, "
            f"{known[at]:.0%} do"
        )

    @cached_property
    def _known(self) -> scipy.spatial.cKDTree:
        return scipy.spatial.cKDTree(self.fitted["known"])

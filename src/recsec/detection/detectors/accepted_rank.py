"""At which rank of the list just served does the next item stand?

People take the first places, or something that was not listed. A policy that draws from the list
takes all ranks alike; one that draws from the catalog hardly ever takes a listed item.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from pydantic import Field

from recsec.detection.base import CountingDetector, DetectorConfig, FitData
from recsec.traffic import Steps
from recsec.types import FloatArray, IntArray

__all__ = ["AcceptedRank", "AcceptedRankConfig"]

EDGES = np.array([1, 2, 3, 4, 6, 11, 21, 51])
"""First rank of each bin; bin 0 holds items that were not in the list."""


FEW = 10
"""Choices from which on an honest account shows how much people differ from any law."""

ROUNDS = 20
"""Steps towards the nearest mixture; more change the score by less than 1 %."""


class AcceptedRankConfig(DetectorConfig):
    """Settings of ``AcceptedRank``."""

    smoothing: float = Field(
        2.0, gt=0, description="counts added to a bin of the honest law, spread evenly"
    )


class AcceptedRank(CountingDetector):
    """How far an account's accepted ranks are from the nearest mixture of honest laws.

    The score is the G statistic ``2 n KL`` of the account's shares of the rank bins (not listed, 1,
    2, 3, 4-5, 6-10, 11-20, 21-50, above) and the nearest mixture of the laws that the fit group
    shows, one for each click law and request pattern, divided by ``1 + n b``. A mixture, because
    nobody knows how often people follow a list; b, because people differ from any law, and the more
    visibly the more they ask (its least-squares estimate among honest accounts). So accounts with
    few choices and with many compare.

    A choice counts when a later query goes on from it or repeats it: what a client fetches ahead
    and nobody opens was chosen by nobody.

    State: 9 numbers per account (72 bytes); merges exactly in any split.
    """

    name = "accepted-rank"
    config_class = AcceptedRankConfig
    config: AcceptedRankConfig
    width = len(EDGES) + 1

    @classmethod
    def fit(cls, data: FitData, config: Any) -> Self:
        """See ``Detector.fit``."""
        parts = (*data.honest, *data.habits)
        laws = []
        for steps in parts:
            ranks = steps.chosen[steps.chosen >= 0]
            counts = np.bincount(cls.bins(ranks), minlength=cls.width) + config.smoothing
            laws.append(counts / counts.sum())
        found = cls(config, {"laws": np.array(laws), "between": np.zeros(1)}, data.catalog)
        counts = [np.zeros((0, cls.width), dtype=np.int64)]
        for steps in parts:
            own = found.fresh()
            own.observe(steps)
            counts.append(own.counts)
        every = np.concatenate(counts)
        total = every.sum(axis=1)
        able = total >= FEW
        if able.sum() >= FEW:
            slope, level = np.polyfit(total[able], found.score(every[able]), 1)
            between = slope / level if level > 0 else 0.0
            found.fitted["between"] = np.array([max(0.0, between)])
        return found

    @staticmethod
    def bins(ranks: IntArray) -> IntArray:
        """The bin of each rank; rank 0 (not listed) is bin 0.

        >>> AcceptedRank.bins(np.array([0, 1, 3, 10, 100]))
        array([0, 1, 3, 5, 8])
        """
        found: IntArray = np.searchsorted(EDGES, ranks, side="right")
        return found

    def increments(self, steps: Steps, codes: IntArray) -> IntArray:
        """One in the bin of each accepted rank."""
        added = np.zeros((len(steps), self.width), dtype=np.int64)
        rows = np.flatnonzero(steps.chosen >= 0)
        added[rows, self.bins(steps.chosen[rows])] = 1
        return added

    def score(self, counts: IntArray) -> FloatArray:
        """See ``CountingDetector.score``; 0 for an account without any accepted rank."""
        total = counts.sum(axis=1)
        shares = counts[total > 0] / total[total > 0, None]
        nearest = self._nearest(shares)
        own = np.sum(shares * np.log(np.maximum(shares, 1e-300)), axis=1)
        away = np.zeros(len(counts))
        away[total > 0] = own - np.sum(shares * np.log(np.maximum(nearest, 1e-300)), axis=1)
        found: FloatArray = (
            2 * total * np.maximum(away, 0.0) / (1 + total * self.fitted["between"][0])
        )
        return found

    def _nearest(self, shares: FloatArray) -> FloatArray:
        """``(m, W)`` the mixture of laws nearest to each row: expectation-maximization."""
        laws = self.fitted["laws"]
        weights = np.full((len(shares), len(laws)), 1 / len(laws))
        for _ in range(ROUNDS if len(laws) > 1 else 0):
            weights *= (shares / (weights @ laws)) @ laws.T
        nearest: FloatArray = weights @ laws
        return nearest

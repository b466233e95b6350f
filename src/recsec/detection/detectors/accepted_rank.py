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


ROUNDS = 20
"""Steps towards the nearest mixture; more change the score by less than 1 %."""


class AcceptedRankConfig(DetectorConfig):
    """Settings of ``AcceptedRank``."""

    smoothing: float = Field(
        2.0, gt=0, description="counts added to a bin of the honest law, spread evenly"
    )


class AcceptedRank(CountingDetector):
    """Distance of an account's accepted ranks from the nearest mixture of honest laws.

    The score is the Kullback-Leibler divergence of the account's shares of the rank bins (not
    listed, 1, 2, 3, 4-5, 6-10, 11-20, 21-50, above) from the nearest mixture of the laws that the
    fit group shows, one for each assumed click law: 2 n times the score is a G statistic. A
    mixture, because nobody knows how often people follow a list. Queries that extend nothing, or
    no known list, do not count.

    State: 9 numbers per account (72 bytes); merges exactly in any split.
    """

    name = "accepted-rank"
    config_class = AcceptedRankConfig
    config: AcceptedRankConfig
    width = len(EDGES) + 1

    @classmethod
    def fit(cls, data: FitData, config: Any) -> Self:
        """See ``Detector.fit``."""
        laws = []
        for steps in (*data.honest, *data.habits):
            ranks = steps.rank[steps.rank >= 0]
            counts = np.bincount(cls.bins(ranks), minlength=cls.width) + config.smoothing
            laws.append(counts / counts.sum())
        return cls(config, {"laws": np.array(laws)}, data.catalog)

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
        rows = np.flatnonzero(steps.rank >= 0)
        added[rows, self.bins(steps.rank[rows])] = 1
        return added

    def score(self, counts: IntArray) -> FloatArray:
        """See ``CountingDetector.score``; 0 for an account without any accepted rank."""
        total = counts.sum(axis=1)
        shares = counts[total > 0] / total[total > 0, None]
        nearest = self._nearest(shares)
        own = np.sum(shares * np.log(np.maximum(shares, 1e-300)), axis=1)
        away = np.zeros(len(counts))
        away[total > 0] = own - np.sum(shares * np.log(np.maximum(nearest, 1e-300)), axis=1)
        return np.maximum(away, 0.0)

    def _nearest(self, shares: FloatArray) -> FloatArray:
        """``(m, W)`` the mixture of laws nearest to each row: expectation-maximization."""
        laws = self.fitted["laws"]
        weights = np.full((len(shares), len(laws)), 1 / len(laws))
        for _ in range(ROUNDS if len(laws) > 1 else 0):
            weights *= (shares / (weights @ laws)) @ laws.T
        nearest: FloatArray = weights @ laws
        return nearest

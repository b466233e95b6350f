"""How likely are an account's histories under the item-to-item transitions of honest users?"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from recsec.detection.base import CountingDetector, DetectorConfig, FitData
from recsec.traffic import Steps
from recsec.types import FloatArray, IntArray

__all__ = ["Transition", "TransitionConfig"]

UNIT = 1e6
"""Surprise is kept in whole millionths of a nat, so that sums do not depend on their order."""


class TransitionConfig(DetectorConfig):
    """Settings of ``Transition``."""

    reach: int = Field(3, gt=0, description="how many items later still counts as following")
    smoothing: float = Field(10.0, gt=0, description="weight of popularity, in transitions")


class Transition(CountingDetector):
    """Mean surprise ``-log P(item | item before)`` of the items that an account's queries add.

    ``P(j | i) = (C_ij + s p_j) / (C_i + s)``: C counts how often j came at most ``reach`` items
    after i in the histories of the fit group, p is popularity there (one added to every count) and
    s the smoothing. The first item of a history follows nothing and does not count: how often
    people start anew differs from shop to shop.

    State: 2 numbers per account (16 bytes); merges exactly in any split.
    """

    name = "transition"
    config_class = TransitionConfig
    config: TransitionConfig
    width = 2

    @classmethod
    def fit(cls, data: FitData, config: Any) -> Self:
        """See ``Detector.fit``."""
        n, known = len(data.catalog) + 1, data.histories
        user = np.repeat(np.arange(len(known)), known.lengths)
        keys = []
        for distance in range(1, config.reach + 1):
            same = user[distance:] == user[:-distance]
            keys.append(known.items[:-distance][same] * n + known.items[distance:][same])
        pairs, counts = np.unique(np.concatenate(keys), return_counts=True)
        popularity = known.counts + 1.0
        popularity[0] = 0.0
        totals = np.bincount(pairs // n, weights=counts, minlength=n)
        return cls(
            config,
            {
                "pairs": pairs.astype(np.int64),
                "counts": counts.astype(np.float64),
                "totals": totals,
                "popularity": popularity / popularity.sum(),
            },
            data.catalog,
        )

    def surprise(self, items: IntArray, before: IntArray) -> FloatArray:
        """``-log P`` of each item ``(T,)`` after the one before it, 0 for none: nats."""
        fitted, s = self.fitted, self.config.smoothing
        keys = before * len(fitted["popularity"]) + items
        place = np.minimum(np.searchsorted(fitted["pairs"], keys), len(fitted["pairs"]) - 1)
        seen = np.where(fitted["pairs"][place] == keys, fitted["counts"][place], 0.0)
        total = np.where(before > 0, fitted["totals"][before], 0.0)
        chance = (seen + s * fitted["popularity"][items]) / (total + s)
        surprise: FloatArray = -np.log(chance)
        return surprise

    def increments(self, steps: Steps, codes: IntArray) -> IntArray:
        """How many items each query adds, and their surprise in millionths."""
        return self._added(steps, np.ones(len(steps), dtype=np.bool_))

    def _surprises(
        self, steps: Steps, counted: npt.NDArray[np.bool_]
    ) -> tuple[FloatArray, IntArray]:
        """Surprise of each item added by the queries that count, and its row."""
        items, before, row = steps.pairs()
        kept = (items > 0) & (before > 0) & counted[row]
        return self.surprise(items[kept], before[kept]), row[kept]

    def _added(self, steps: Steps, counted: npt.NDArray[np.bool_]) -> IntArray:
        """``increments`` of the queries that count."""
        surprise, row = self._surprises(steps, counted)
        added = np.zeros((len(steps), self.width), dtype=np.int64)
        np.add.at(added[:, 0], row, 1)
        np.add.at(added[:, 1], row, np.rint(surprise * UNIT).astype(np.int64))
        return added

    def score(self, counts: IntArray) -> FloatArray:
        """See ``CountingDetector.score``: nats per item."""
        mean: FloatArray = counts[:, 1] / UNIT / np.maximum(counts[:, 0], 1)
        return mean

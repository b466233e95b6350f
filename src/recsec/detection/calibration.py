"""From scores to p-values: honest accounts after the same number of queries are the measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from recsec.metrics.detection import tail_p_values
from recsec.types import FloatArray, IntArray

__all__ = ["CHECKPOINTS", "COMBINED", "FLOOR", "Calibration", "Scale", "combine"]

CHECKPOINTS = (20, 50, 100, 200)
"""Numbers of queries after which accounts are compared."""

COMBINED = "combined"
"""The label of the combination of detectors."""

LEVEL = 0.01
"""Share of honest accounts at which p-values allow for the scatter of calibration."""

FLOOR = 0.01
"""Least width of a scale, for detectors that give nearly all honest accounts the same score."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of the honest accounts of the calibration group, after each number of queries.

    Attributes:
        checkpoints: ``(C,)`` ascending.
        scores: C arrays, one score per account that made so many queries.
        habits: C arrays, which way of asking each account had: the laws are one, every other
            request pattern is its own. One for all if empty.
        allow: make p-values larger by what the scatter of so many accounts asks for.
    """

    checkpoints: IntArray
    scores: tuple[FloatArray, ...]
    habits: tuple[IntArray, ...] = ()
    allow: bool = False

    @classmethod
    def of(
        cls, table: pl.DataFrame, checkpoints: IntArray, patterns: Sequence[str], *, least: int
    ) -> Self:
        """From rows of one detector in an account table; laws of a growing history are habit 0.

        A habit with fewer than ``least`` accounts at a checkpoint is left out there.
        """
        numbers = {name: at for at, name in enumerate(patterns, start=1)}
        scores, habits = [], []
        for count in checkpoints.tolist():
            there = table.filter(pl.col("queries") == count).sort("score")
            codes = np.array([numbers.get(name, 0) for name in there["law"]], dtype=np.int64)
            many = np.bincount(codes, minlength=1 + len(patterns))[codes] >= least
            scores.append(there["score"].to_numpy().astype(np.float64)[many])
            habits.append(codes[many])
        return cls(checkpoints, tuple(scores), tuple(habits), allow=True)

    def p_values(self, scores: FloatArray, queries: IntArray) -> FloatArray:
        """One p-value per account ``(m,)``; 1 below the first checkpoint.

        Nobody knows which habit an account has, so its p-value is the largest that any habit
        gives: among the people of each habit, at most 1 % come below 0.01. How many do is known
        only as well as the n accounts of the habit tell, so with ``allow`` p-values are
        ``1 + 2 / sqrt(0.01 n)`` times as large: two standard deviations of a share of one percent.

        An account is compared at the largest checkpoint that it reached. Scores are means over
        queries, so an honest account that made more queries than that scatters less: its
        p-value errs on its side.
        """
        out = np.ones(len(scores))
        place = np.searchsorted(self.checkpoints, queries, side="right") - 1
        for at, honest in enumerate(self.scores):
            rows = place == at
            if rows.any() and len(honest):
                habits = self.habits[at] if self.habits else np.zeros(len(honest), dtype=np.int64)
                parts = [honest[habits == one] for one in sorted(set(habits.tolist()))]
                found = [
                    (_allowed(len(own)) if self.allow else 1.0) * tail_p_values(scores[rows], own)
                    for own in parts
                ]
                out[rows] = np.minimum(np.max(found, axis=0), 1.0)
        return out


def _allowed(accounts: int) -> float:
    """How much larger p-values are because so many accounts calibrate."""
    return 1.0 + 2.0 / math.sqrt(LEVEL * accounts)


@dataclass(frozen=True, eq=False)
class Scale:
    """Where honest scores of one detector lie after each number of queries, in the fit group.

    Attributes:
        checkpoints: ``(C,)`` ascending.
        middle: ``(C,)`` medians.
        width: ``(C,)`` from the median to the 99th percentile.
    """

    checkpoints: IntArray
    middle: FloatArray
    width: FloatArray

    @classmethod
    def of(cls, checkpoints: IntArray, scores: tuple[FloatArray, ...]) -> Scale:
        """From the scores of honest accounts; a checkpoint nobody reached takes the one before."""
        middle, width = np.zeros(len(checkpoints)), np.ones(len(checkpoints))
        for at, honest in enumerate(scores):
            if len(honest) == 0:
                middle[at], width[at] = middle[max(at - 1, 0)], width[max(at - 1, 0)]
                continue
            middle[at], high = np.quantile(honest, [0.5, 0.99])
            width[at] = max(high - middle[at], FLOOR)
        return cls(checkpoints, middle, width)

    def standard(self, scores: FloatArray, queries: IntArray) -> FloatArray:
        """Scores ``(m,)`` in widths above the median of honest accounts."""
        at = np.maximum(np.searchsorted(self.checkpoints, queries, side="right") - 1, 0)
        out: FloatArray = (scores - self.middle[at]) / self.width[at]
        return out


def combine(
    scores: Mapping[str, FloatArray], queries: IntArray, scales: Mapping[str, Scale]
) -> FloatArray:
    """How far each account ``(m,)`` stands out in all views together.

    The root of the summed squares of the standard scores above 0: one view that finds an account
    very odd decides alone, and several that find it somewhat odd add up. Scales come from honest
    accounts that no detector learned from, so the combination is fixed before calibration, and one
    calibration of the result gives one p-value per account.
    """
    total = np.zeros(len(queries))
    for label in sorted(scales):
        total += np.maximum(scales[label].standard(scores[label], queries), 0.0) ** 2
    out: FloatArray = np.sqrt(total)
    return out

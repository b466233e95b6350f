"""How far an attacked item moved in the neighbor list of its target."""

from __future__ import annotations

import numpy as np

from recsec.stats import Estimate, wilson
from recsec.types import FloatArray, IntArray

__all__ = ["SUCCESS_AT", "rank_gain", "success", "success_rate"]

SUCCESS_AT = (1, 3, 5, 10, 20, 50, 100, 500, 1000)
"""The ranks at which success is reported."""


def success(ranks: IntArray, r: int) -> FloatArray:
    """1 where the item is among the first ``r`` neighbors of its target, else 0. ``(P,)``."""
    return (ranks <= r).astype(np.float64)


def success_rate(ranks: IntArray, r: int) -> Estimate:
    """success@r over pairs, with a Wilson interval.

    Args:
        ranks: ``(P,)`` int64 exact ranks, 1 is best.
        r: length of the list.

    >>> success_rate(np.array([1, 3, 4, 900]), 3).value
    0.5
    """
    return wilson(int((ranks <= r).sum()), len(ranks))


def rank_gain(before: IntArray, after: IntArray) -> FloatArray:
    """``log10(before / after)`` per pair ``(P,)``: 2 is a hundred times nearer the top.

    >>> rank_gain(np.array([500, 10]), np.array([5, 10]))
    array([2., 0.])
    """
    return np.log10(before / after)

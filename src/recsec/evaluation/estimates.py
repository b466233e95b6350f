"""Means over users with intervals, all columns resampled together so that they stay paired."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recsec.stats import LEVEL, Estimate, bootstrap_means
from recsec.types import FloatArray

__all__ = ["lift", "lift_estimate", "paired_estimates"]

RESAMPLES = 1000
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


def _interval(means: FloatArray) -> tuple[float | None, float | None]:
    """95 % percentile interval of resampled means; resamples without a value are left out."""
    known = means[np.isfinite(means)]
    if len(known) == 0:
        return None, None
    low, high = np.quantile(known, TAILS)
    return float(low), float(high)


def paired_estimates(
    columns: Mapping[str, FloatArray], rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> dict[str, Estimate]:
    """Mean and 95 % percentile bootstrap interval of each column.

    Users are drawn once for all columns. NaN marks a user without a value; the mean is over the
    others, in each resample too.

    Args:
        columns: name and ``(U,)`` values, the same users in each.
        rng: the stream that draws the resamples.
        resamples: R.
    """
    if not columns:
        return {}
    table = np.stack([np.asarray(column, dtype=np.float64) for column in columns.values()], axis=1)
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    counts = known.sum(axis=0)
    if len(table) == 0:
        return {name: Estimate(float("nan"), None, None, 0) for name in columns}
    means = bootstrap_means(np.concatenate([filled, known], axis=1), rng, resamples=resamples)
    tops, bottoms = np.split(means, 2, axis=1)
    drawn = np.full_like(tops, np.nan)
    np.divide(tops, bottoms, out=drawn, where=bottoms > 0)
    out = {}
    for at, name in enumerate(columns):
        n = int(counts[at])
        value = float(filled[:, at].sum() / n) if n else float("nan")
        low, high = _interval(drawn[:, at]) if n > 1 else (None, None)
        out[name] = Estimate(value, low, high, n)
    return out


def lift(agreement: float, floor: float) -> float:
    """What the calls bought: ``(agreement - floor) / (1 - floor)``, 0 at the floor and 1 at a copy.

    Negative below the floor. NaN where the floor is 1: then nothing is left to steal.

    >>> lift(0.6, 0.2)
    0.5
    """
    return (agreement - floor) / (1 - floor) if floor < 1 else float("nan")


def lift_estimate(
    agreement: FloatArray,
    floor: FloatArray,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> Estimate:
    """``lift`` of the mean agreements, with an interval from users drawn once for both.

    Args:
        agreement: ``(U,)`` agreement of surrogate and target per user.
        floor: ``(U,)`` agreement of the zero-call attacker and the target, same users.
        rng: the stream that draws the resamples.
        resamples: R.
    """
    if agreement.shape != floor.shape:
        raise ValueError(f"lift needs the same users twice, got {agreement.shape}, {floor.shape}")
    if len(agreement) == 0:
        return Estimate(float("nan"), None, None, 0)
    value = lift(float(agreement.mean()), float(floor.mean()))
    if len(agreement) == 1 or np.isnan(value):
        return Estimate(value, None, None, len(agreement))
    means = bootstrap_means(np.stack([agreement, floor], axis=1), rng, resamples=resamples)
    drawn = np.full(len(means), np.nan)
    np.divide(means[:, 0] - means[:, 1], 1 - means[:, 1], out=drawn, where=means[:, 1] < 1)
    low, high = _interval(drawn)
    return Estimate(value, low, high, len(agreement))

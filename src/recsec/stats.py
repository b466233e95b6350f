"""Point estimates with intervals: every rate and mean that recsec prints passes through here."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import scipy  # its modules come when they are used: they are a seventh of what a command imports
from numpy.typing import ArrayLike

from recsec.types import FloatArray

__all__ = [
    "Estimate",
    "bootstrap_means",
    "clopper_pearson",
    "mean_estimate",
    "wilson",
    "wilson_decides",
]

LEVEL = 0.95
NORMAL = NormalDist()


@dataclass(frozen=True)
class Estimate:
    """A measured value with its 95 % interval and the number of units behind it.

    ``low`` and ``high`` are None where no interval can be had (n < 2, or a constant of the setup).
    """

    value: float
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, Any]:
        """``{"value", "low", "high", "n"}``, the form of every metric in JSON output."""
        return asdict(self)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4f}"
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap_means(
    values: ArrayLike, rng: np.random.Generator, *, resamples: int = 1000
) -> FloatArray:
    """Means of bootstrap resamples of the rows, the same rows for every column.

    Resampling all columns together keeps comparisons between them paired.

    Args:
        values: ``(n,)`` or ``(n, M)``, one row per unit (user, pair).
        rng: the stream that draws the resamples.
        resamples: R.

    Returns:
        ``(R, M)`` float64 (``M = 1`` for a vector).
    """
    table = np.asarray(values, dtype=np.float64)
    table = table.reshape(len(table), -1)
    n = len(table)
    out = np.empty((resamples, table.shape[1]))
    for start in range(0, resamples, 100):  # 100 x n counts at a time: a few MB
        rows = min(100, resamples - start)
        counts = rng.multinomial(n, np.full(n, 1.0 / n), size=rows)
        out[start : start + rows] = counts @ table / n
    return out


def mean_estimate(
    values: ArrayLike, rng: np.random.Generator, *, resamples: int = 1000
) -> Estimate:
    """Mean of per-unit values with a percentile bootstrap interval.

    Args:
        values: ``(n,)``, one value per unit; NaN marks a unit without a value and is left out.
    """
    table = np.asarray(values, dtype=np.float64).ravel()
    table = table[~np.isnan(table)]
    if len(table) == 0:
        return Estimate(float("nan"), None, None, 0)
    mean = float(table.mean())
    if len(table) == 1:
        return Estimate(mean, None, None, 1)
    means = bootstrap_means(table, rng, resamples=resamples)[:, 0]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(mean, float(low), float(high), len(table))


def clopper_pearson(successes: int, n: int) -> Estimate:
    """Exact binomial interval of a rate.

    Source: Clopper & Pearson, Biometrika 26 (1934).

    >>> clopper_pearson(0, 10)
    Estimate(value=0.0, low=0.0, high=0.3084971078187608, n=10)
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"need 0 <= successes <= n and n > 0, got {successes} of {n}")
    tail = (1 - LEVEL) / 2
    low = 0.0 if successes == 0 else scipy.special.betaincinv(successes, n - successes + 1, tail)
    high = (
        1.0 if successes == n else scipy.special.betaincinv(successes + 1, n - successes, 1 - tail)
    )
    return Estimate(successes / n, float(low), float(high), n)


def wilson(successes: int, n: int) -> Estimate:
    """Score interval of a rate: near its nominal level also for rates close to 0 and 1.

    Source: Wilson, JASA 22 (1927).

    >>> round(wilson(0, 1000).high, 6)
    0.003827
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"need 0 <= successes <= n and n > 0, got {successes} of {n}")
    z = -NORMAL.inv_cdf((1 - LEVEL) / 2)
    rate = successes / n
    center = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == n else center + half
    return Estimate(rate, low, high, n)


def wilson_decides(rate: float, limit: float) -> float:
    """Units from which on the score interval of a rate no longer holds a limit.

    The interval inverts the score test: ``n = z^2 limit (1 - limit) / (rate - limit)^2``.

    >>> wilson_decides(0.0, 0.1), round(wilson(0, 34).high, 3), round(wilson(0, 35).high, 3)
    (35.0, 0.102, 0.099)
    """
    if rate == limit:
        return math.inf
    z = -NORMAL.inv_cdf((1 - LEVEL) / 2)
    return math.floor(z * z * limit * (1 - limit) / (rate - limit) ** 2) + 1.0

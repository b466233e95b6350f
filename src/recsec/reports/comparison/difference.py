"""Differences of two measurements, paired where the same units were measured twice."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

import numpy as np

from recsec.reports.parts import Metric
from recsec.stats import LEVEL, NORMAL, mean_estimate

__all__ = ["beyond", "difference_of", "paired_difference"]


def paired_difference(
    old: Mapping[Hashable, float], new: Mapping[Hashable, float]
) -> Metric | None:
    """Mean of new minus old over the same units, with a percentile bootstrap interval.

    None where the two are not of the very same units, or there are none.
    """
    if not old or old.keys() != new.keys():
        return None
    values = np.array([new[unit] - old[unit] for unit in old], dtype=np.float64)
    return Metric.of(mean_estimate(values, np.random.default_rng(0)))


def difference_of(old: Metric, new: Metric) -> Metric | None:
    """New minus old for independent measurements.

    The interval is put together from those of the two (MOVER).
    Source: Zou & Donner, Statistics in Medicine 27 (2008), eq. 3; for two of Wilson's intervals it
    is Newcombe's.

    >>> one = Metric(value=0.5, low=0.4, high=0.6, n=100)
    >>> two = Metric(value=0.7, low=0.6, high=0.8, n=100)
    >>> round(difference_of(one, two).low, 4)
    0.0586
    """
    if old.value is None or new.value is None:
        return None
    value, n = new.value - old.value, min(old.n, new.n)
    if None in (old.low, old.high, new.low, new.high):
        return Metric(value=value, low=None, high=None, n=n)
    down = math.hypot(new.value - _known(new.low), _known(old.high) - old.value)
    up = math.hypot(_known(new.high) - new.value, old.value - _known(old.low))
    return Metric(value=value, low=value - down, high=value + up, n=n)


def beyond(difference: Metric, confidence: float) -> int:
    """1 where a difference is above 0 at a confidence, -1 where it is below, else 0.

    The 95 % interval is widened as that of a normal mean would be. Without an interval, any
    difference counts: it is then one of constants.
    """
    value, low, high = difference.value, difference.low, difference.high
    if value is None or low is None or high is None:
        return 0 if not value else int(math.copysign(1, value))
    wider = NORMAL.inv_cdf((1 + confidence) / 2) / NORMAL.inv_cdf((1 + LEVEL) / 2)
    if value - wider * (value - low) > 0:
        return 1
    return -1 if value + wider * (high - value) < 0 else 0


def _known(value: float | None) -> float:
    return math.nan if value is None else value

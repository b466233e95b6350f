"""The median budget, where some pairs need more than was tried."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from recsec.attacks.evasion import smallest_budget
from recsec.attacks.evasion.harness.summary import median_estimate


def test_a_median_between_order_statistics() -> None:
    found = median_estimate(np.arange(9.0, 0, -1))
    assert (found.value, found.low, found.high, found.n) == (5, 2, 8, 9)
    few = median_estimate(np.array([3.0, 1.0]))
    assert (few.value, few.low, few.high) == (1, None, None)


@pytest.mark.parametrize("n", [6, 9, 20, 101])
def test_the_interval_holds_the_median_often_enough(n: int) -> None:
    found = median_estimate(np.arange(1.0, n + 1))
    assert found.low is not None
    # it misses where fewer than `low` values fall on one side of the true median
    outside = 2 * stats.binom.cdf(found.low - 1, n, 0.5)
    assert outside <= 0.05 < 2 * stats.binom.cdf(found.low, n, 0.5)


def table(needed: list[float | None]) -> pl.DataFrame:
    one = pl.DataFrame({"min_eps": needed}, schema={"min_eps": pl.Float64})
    return pl.concat([one.with_columns(eps=pl.lit(eps)) for eps in (0.02, 0.05)])


def test_pairs_that_fail_need_more_than_was_tried() -> None:
    found = smallest_budget(table([0.01] * 5 + [0.04] * 4 + [None] * 3))
    assert found["median"]["value"] == 0.04
    assert (found["median"]["low"], found["median"]["high"]) == (0.01, None)
    assert found["failed"]["value"] == 0.25
    assert found["failed"]["n"] == found["median"]["n"] == 12
    assert found["largest"] == 0.05
    most = smallest_budget(table([0.01] + [None] * 11))
    assert math.isnan(most["median"]["value"])

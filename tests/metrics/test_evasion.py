"""Success and rank gain on ranks that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsec.metrics import SUCCESS_AT, rank_gain, success, success_rate
from recsec.stats import wilson


def test_success_counts_the_rank_itself() -> None:
    ranks = np.array([1, 2, 3, 4, 1000])
    assert success(ranks, 3).tolist() == [1, 1, 1, 0, 0]
    assert success_rate(ranks, 3).value == 3 / 5
    assert success_rate(ranks, 1000).value == 1


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=40))
def test_success_grows_with_the_list(ranks: list[int]) -> None:
    rates = [success_rate(np.array(ranks), r) for r in SUCCESS_AT]
    assert [one.value for one in rates] == sorted(one.value for one in rates)
    assert all(one.low <= one.value <= one.high for one in rates)


def test_rank_gain_is_in_decades() -> None:
    assert rank_gain(np.array([1000, 7, 1]), np.array([10, 7, 100])).tolist() == [2, 0, -2]


def test_the_wilson_interval_is_that_of_the_tables() -> None:
    # 10 of 20: Newcombe, Statistics in Medicine 17 (1998), method 3 gives 0.2993 to 0.7007
    found = wilson(10, 20)
    assert found.low == pytest.approx(0.2993, abs=5e-5)
    assert found.high == pytest.approx(0.7007, abs=5e-5)
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1
    with pytest.raises(ValueError, match="n > 0"):
        wilson(0, 0)

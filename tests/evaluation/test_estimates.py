"""Paired intervals and lift."""

import numpy as np
import pytest

from recsec.evaluation import lift, lift_estimate, paired_estimates
from recsec.rng import Streams
from recsec.stats import mean_estimate

RNG = Streams(2)


def test_the_mean_leaves_out_users_without_a_value() -> None:
    found = paired_estimates({"a": np.array([1.0, np.nan, 0.0, 1.0])}, RNG.numpy("x"))["a"]
    assert found.value == 2 / 3
    assert found.n == 3
    assert 0 <= found.low <= 2 / 3 <= found.high <= 1


def test_without_gaps_it_is_the_plain_estimate() -> None:
    values = np.random.default_rng(0).random(80)
    paired = paired_estimates({"a": values, "b": 1 - values}, RNG.numpy("x"))
    plain = mean_estimate(values, RNG.numpy("x"))
    assert paired["a"].low == pytest.approx(plain.low)
    assert paired["a"].high == pytest.approx(plain.high)


def test_columns_share_their_draws() -> None:
    values = np.random.default_rng(0).random(80)
    found = paired_estimates({"a": values, "b": 1 - values}, RNG.numpy("x"))
    assert found["a"].low == pytest.approx(1 - found["b"].high)


def test_no_values_and_no_columns() -> None:
    empty = paired_estimates({"a": np.full(3, np.nan)}, RNG.numpy("x"))["a"]
    assert np.isnan(empty.value)
    assert (empty.low, empty.high, empty.n) == (None, None, 0)
    assert paired_estimates({}, RNG.numpy("x")) == {}
    assert paired_estimates({"a": np.array([])}, RNG.numpy("x"))["a"].n == 0


def test_one_value_has_no_interval() -> None:
    found = paired_estimates({"a": np.array([np.nan, 2.0])}, RNG.numpy("x"))["a"]
    assert (found.value, found.low, found.n) == (2, None, 1)


def test_lift_is_zero_at_the_floor_and_one_at_a_copy() -> None:
    assert lift(0.3, 0.3) == 0
    assert lift(1.0, 0.3) == 1
    assert lift(0.65, 0.3) == pytest.approx(1 / 2)
    assert np.isnan(lift(1.0, 1.0))


def test_lift_of_a_surrogate_that_equals_its_floor_is_exactly_zero() -> None:
    same = np.random.default_rng(0).random(50)
    found = lift_estimate(same, same, RNG.numpy("x"))
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_lift_interval_holds_the_value() -> None:
    rng = np.random.default_rng(0)
    floor = rng.random(300) * 0.4
    found = lift_estimate(floor + 0.2, floor, RNG.numpy("x"))
    assert found.low < found.value < found.high
    with pytest.raises(ValueError, match="same users"):
        lift_estimate(floor, floor[:3], RNG.numpy("x"))

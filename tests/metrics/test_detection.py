"""P-values, rates and the price of a theft: closed forms, planted nulls, monotony."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsec.metrics import (
    accounts_needed,
    benjamini_hochberg,
    confusion,
    empirical_p_values,
    queries_to_detection,
    tail_p_values,
    threshold_at,
    true_positive_rate,
)


def test_empirical_p_values_are_exact_under_the_null() -> None:
    """With 9 honest scores, each of the ten places of one more is equally likely."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(20_000, 10))
    found = np.array([empirical_p_values(row[:1], row[1:])[0] for row in drawn])
    counts = np.bincount(np.rint(found * 10).astype(int), minlength=11)[1:]
    assert ((counts - 2000) ** 2 / 2000).sum() < 27.9  # chi-square, 9 degrees, p = 0.001


@pytest.mark.parametrize("law", ["normal", "exponential", "uniform"])
def test_the_tail_goes_on_where_counting_ends(law: str) -> None:
    rng = np.random.default_rng(1)
    draw = getattr(rng, law)
    honest, fresh = draw(size=1000), draw(size=200_000)
    found = tail_p_values(fresh, honest)
    for level in (0.01, 0.001):
        # one calibration sample of 1,000 knows its own tail within a factor of about two
        assert (found <= level).mean() < 2.2 * level
    far = tail_p_values(np.array([honest.max() + 9 * honest.std()]), honest)[0]
    assert 0 < far < 1 / 1001
    ordered = tail_p_values(np.sort(fresh), honest)
    assert (np.diff(ordered) <= 1e-12).all()


def test_few_or_equal_honest_scores_leave_counting_only() -> None:
    few = np.arange(40.0)
    assert tail_p_values(np.array([99.0]), few)[0] == 1 / 41
    assert tail_p_values(np.array([99.0]), np.zeros(500))[0] == 1 / 501


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg(np.zeros(0), 0.05).tolist() == []
    assert benjamini_hochberg(np.array([0.05]), 0.05).tolist() == [True]
    # 0.03 > 0.05 * 1/3, but three p-values lie below their bounds together
    assert benjamini_hochberg(np.array([0.03, 0.032, 0.05]), 0.05).tolist() == [True] * 3
    assert benjamini_hochberg(np.array([0.2, 0.4, 0.9]), 0.05).tolist() == [False] * 3


def test_benjamini_hochberg_controls_the_rate_on_planted_nulls() -> None:
    rng, level, rates, power = np.random.default_rng(2), 0.1, [], []
    for _ in range(400):
        honest = rng.normal(size=2000)
        thief = rng.random(200) < 0.1
        scores = rng.normal(size=200) + np.where(thief, 3.5, 0.0)
        flagged = benjamini_hochberg(empirical_p_values(scores, honest), level)
        rates.append((flagged & ~thief).sum() / max(flagged.sum(), 1))
        power.append((flagged & thief).sum() / max(thief.sum(), 1))
    error = np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) < level + 3 * error
    assert np.mean(power) > 0.8


def test_thresholds_and_rates() -> None:
    honest = np.arange(1000.0)
    assert threshold_at(honest, 0.01) == 989.0
    assert (honest > threshold_at(honest, 0.01)).mean() == 0.01
    assert threshold_at(honest[:50], 0.001) == 49.0
    rate = true_positive_rate(np.array([1.0, 2.0, 3.0, 4.0]), 2.0)
    assert (rate.value, rate.n) == (0.5, 4)
    assert confusion(honest, np.array([5.0, 2000.0]), 989.0) == {
        "honest_passed": 990,
        "honest_flagged": 10,
        "thief_passed": 1,
        "thief_flagged": 1,
    }


def test_queries_to_detection() -> None:
    scores = np.array([[1.0, 9.0, 0.0], [5.0, np.nan, np.nan], [0.0, 0.0, 0.0]])
    found = queries_to_detection(scores, np.array([2.0, 2.0, 2.0]), np.array([20, 50, 100]))
    assert found.tolist() == [50.0, 20.0, np.inf]


def test_accounts_needed_in_closed_form() -> None:
    draws = np.random.default_rng(0).random((4, 60, 3))
    always = accounts_needed(1000, np.full(7, 20.0), horizon=200, draws=draws)
    assert always.tolist() == [50] * 4
    never = accounts_needed(1000, np.full(7, np.inf), horizon=200, draws=draws)
    assert never.tolist() == [1] * 4
    # flagged after 50 queries in every second window of 100: 50 + 100 * E[windows before] = 150
    half = np.array([50.0, np.inf])
    many = np.random.default_rng(1).random((300, 400, 40))
    found = accounts_needed(30_000, half, horizon=100, draws=many)
    assert abs(found.mean() - 30_000 / 150) < 5


@given(
    detection=st.lists(st.sampled_from([20.0, 50.0, 100.0, 200.0, np.inf]), min_size=1, max_size=8),
    sooner=st.lists(st.sampled_from([20.0, 50.0, 100.0, 200.0, np.inf]), min_size=8, max_size=8),
    calls=st.integers(1, 5000),
)
def test_a_better_detector_never_makes_a_theft_cheaper(
    detection: list[float], sooner: list[float], calls: int
) -> None:
    draws = np.random.default_rng(5).random((6, 300, 4))
    slow = np.array(detection)
    fast = np.minimum(slow, sooner[: len(slow)])
    price = [accounts_needed(calls, when, horizon=200, draws=draws) for when in (slow, fast)]
    assert (price[1] >= price[0]).all()

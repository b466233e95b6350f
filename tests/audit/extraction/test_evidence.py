"""Means over users and seeds: values by hand, intervals that cover both."""

from __future__ import annotations

import numpy as np
import pytest

from recsec.audit.extraction.evidence.checks import copy_checks
from recsec.audit.extraction.evidence.pooling import pooled
from recsec.audit.extraction.tasks import Course
from recsec.reports import Twin
from recsec.rng import Streams

STREAMS = Streams(0)


def test_values_by_hand() -> None:
    first = {"agr@10": np.array([0.2, 0.6]), "hr@10": np.array([1.0, 0.0])}
    second = {"agr@10": np.array([0.4, 0.8]), "hr@10": np.array([0.0, 0.0])}
    found = pooled(
        [first, second],
        floor=np.array([0.1, 0.3]),
        target=np.array([1.0, 1.0]),
        streams=STREAMS,
    )
    assert found["agr@10"].value == pytest.approx(0.5)
    assert found["lift"].value == pytest.approx((0.5 - 0.2) / 0.8)
    assert found["hr_ratio"].value == pytest.approx(0.25)
    assert found["lift"].n == 2


def test_seeds_widen_the_interval_and_one_seed_covers_users_only() -> None:
    rng = np.random.default_rng(1)
    users = rng.random(500)
    alike = [{"agr@10": users, "hr@10": users}] * 3
    apart = [{"agr@10": users + shift, "hr@10": users} for shift in (-0.2, 0.0, 0.2)]
    narrow, wide = (pooled(tables, streams=STREAMS)["agr@10"] for tables in (alike, apart))
    assert narrow.value == pytest.approx(wide.value)
    assert wide.high - wide.low > 4 * (narrow.high - narrow.low)
    single = pooled(alike[:1], streams=STREAMS)["agr@10"]
    assert (single.low, single.high) == pytest.approx((narrow.low, narrow.high))


def test_the_interval_of_one_seed_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for trial in range(200):
        sample = {"agr@10": rng.binomial(10, 0.3, 120) / 10, "hr@10": np.zeros(120)}
        found = pooled([sample], streams=Streams(trial), resamples=200)["agr@10"]
        inside += found.low <= 0.3 <= found.high
    assert 180 <= inside <= 199


def test_a_user_without_a_value_is_left_out() -> None:
    table = {
        "tau": np.array([np.nan, 0.5, 0.7]),
        "agr@10": np.zeros(3),
        "hr@10": np.zeros(3),
    }
    found = pooled([table], streams=STREAMS)
    assert found["tau"].value == pytest.approx(0.6)
    assert found["tau"].n == 2


def test_where_there_is_nothing_to_compare_there_is_no_value() -> None:
    table = {"agr@10": np.ones(4), "hr@10": np.ones(4)}
    found = pooled([table], floor=np.ones(4), target=np.zeros(4), streams=STREAMS)
    for name in ("lift", "hr_ratio"):
        assert np.isnan(found[name].value)
        assert found[name].low is None


def test_comparisons_are_paired() -> None:
    """A floor that differs from the copy by a constant leaves the lift almost certain."""
    rng = np.random.default_rng(2)
    agreement = np.where(rng.random(400) < 0.5, 0.0, 0.9)
    paired = pooled([{"agr@10": agreement, "hr@10": agreement}], floor=agreement, streams=STREAMS)[
        "lift"
    ]
    assert (paired.low, paired.value, paired.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("trained", "steady", "told"), [(0.5, False, True), (0.5, True, False), (0.9, False, False)]
)
def test_lists_that_cannot_be_learned_may_be_a_target_that_changes(
    trained: float, steady: bool, told: bool
) -> None:
    courses = {"mixed": Course(held_out=0.3, trained=trained, best_epoch=2, epochs=9)}
    twin = Twin(metrics=None, reason="none")
    checks = {one.check: one for one in copy_checks([], courses, None, twin, steady=steady)}
    assert ("contradicts itself" in checks["reproduces"].evidence) == told

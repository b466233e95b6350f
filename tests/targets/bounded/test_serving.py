"""Evidence of accounts and clusters decides what is served."""

from __future__ import annotations

import numpy as np
import pytest

from recsec.errors import ConfigError
from recsec.targets.bounded import TREATMENTS, Serving, ServingPolicy


def names(places: np.ndarray) -> list[str]:
    return [TREATMENTS[place] for place in places]


def test_the_hardest_treatment_that_the_evidence_reaches() -> None:
    policy = ServingPolicy(((0.05, "marked"), (0.01, "short"), (0.001, "blocked")))
    p = np.array([0.5, 0.05, 0.02, 0.01, 0.0001])
    assert names(policy.treatments(p)) == ["full", "marked", "marked", "short", "blocked"]


def test_reviews_and_clusters_share_a_level() -> None:
    policy = ServingPolicy(((0.01, "decoys"),), reviews=5)
    assert names(policy.treatments(np.array([0.002, 0.0021]))) == ["decoys", "full"]
    clusters = np.array([1.0, 0.001, 1.0])
    accounts = np.array([0.002, 1.0, 0.001])
    assert names(policy.treatments(accounts, clusters)) == ["full", "decoys", "decoys"]


def test_honest_accounts_are_treated_as_rarely_as_the_level_says() -> None:
    """Under the null, over all reviews: 20,000 accounts, uniform p-values."""
    rng = np.random.default_rng(0)
    policy = ServingPolicy(((0.01, "decoys"),), reviews=4)
    ever = np.zeros(20_000, dtype=bool)
    for _ in range(4):
        p, q = rng.random((2, len(ever)))
        ever |= policy.treatments(p, q) > 0
    assert 0.008 < ever.mean() < 0.0115


def test_a_treatment_is_never_softened(echo_serving: Serving) -> None:
    echo_serving.review(["a"], np.array([TREATMENTS.index("decoys")]))
    echo_serving.review(["a"], np.array([0]))
    assert echo_serving.treatment("a") == "decoys"
    assert echo_serving.treatment("b") == "full"


@pytest.mark.parametrize(
    ("steps", "reviews"), [(((0.01, "shame"),), 1), (((0.0, "short"),), 1), (((0.1, "short"),), 0)]
)
def test_a_policy_that_makes_no_sense(steps: tuple, reviews: int) -> None:
    with pytest.raises(ConfigError):
        ServingPolicy(steps, reviews)


def test_somebody_must_serve_the_others() -> None:
    with pytest.raises(ConfigError, match="somebody must answer"):
        Serving({})


@pytest.fixture
def echo_serving() -> Serving:
    class Nobody:
        catalog, chunk = None, 1

    return Serving({"full": Nobody()})  # type: ignore[dict-item]

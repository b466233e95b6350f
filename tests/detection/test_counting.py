"""Detectors that count: closed forms of their scores, and what they think of planted accounts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detection_world import World, followed

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.detection import (
    AcceptedRank,
    AcceptedRankConfig,
    Continuity,
    DetectorConfig,
    FitData,
    OffList,
    Transition,
    TransitionConfig,
)
from recsec.rng import Streams
from recsec.traffic import ClickLaw, Follower, Steps
from recsec.types import FloatArray, IntArray


def accepted(laws: list[list[float]], between: float = 0.0) -> AcceptedRank:
    fitted = {"laws": np.array(laws), "between": np.array([between])}
    return AcceptedRank(AcceptedRankConfig(), fitted, Catalog.from_ids([1]))


def test_accepted_rank_is_a_g_statistic_that_allows_for_how_people_differ() -> None:
    laws = [[0.5, 0.5, *[1e-12] * 7]]
    counts = np.array([[5, 5, *[0] * 7], [10, 0, *[0] * 7], [0, 0, *[0] * 7]])
    np.testing.assert_allclose(accepted(laws).score(counts), [0, 20 * np.log(2), 0], atol=1e-8)
    found = accepted(laws, between=0.4).score(counts)
    np.testing.assert_allclose(found, [0, 20 * np.log(2) / 5, 0], atol=1e-8)


def test_what_is_fetched_ahead_was_not_chosen() -> None:
    """Three pages of a list are fetched; the second is opened, and one is chosen from its list."""
    rows = [[1], [1, 7], [1, 8], [1, 9], [1, 8], [1, 8, 5]]
    steps = Follower().follow(
        ["a"] * 6,
        np.array([item for row in rows for item in row]),
        np.cumsum([0, *map(len, rows)]),
        np.array([[7, 8, 9], *[[4, 5, 6]] * 5]),
    )
    assert steps.rank.tolist() == [-1, 1, 2, 3, -1, 2]
    assert steps.chosen.tolist() == [-1, -1, -1, -1, 2, -1]


def test_any_mixture_of_the_laws_is_honest() -> None:
    rng = np.random.default_rng(0)
    laws = rng.dirichlet(np.ones(9), size=3)
    detector = accepted(laws.tolist())
    mixtures = rng.dirichlet(np.ones(3), size=20) @ laws
    assert detector.score(np.rint(mixtures * 1_000_000).astype(np.int64)).max() < 4e3
    far = np.zeros((1, 9), dtype=np.int64)
    far[0, int(laws.max(axis=0).argmin())] = 100
    assert detector.score(far)[0] > 200


def test_bins_of_ranks() -> None:
    ranks = np.array([0, 1, 2, 3, 4, 5, 6, 10, 11, 20, 21, 50, 51, 999])
    assert AcceptedRank.bins(ranks).tolist() == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]


def test_transition_by_hand() -> None:
    """Histories 1 2 3 and 1 2: popularity with one added is 3, 3, 2 of 8; 1 -> 2 twice."""
    catalog = Catalog.from_ids([10, 20, 30])
    people = Sequences.from_lists(catalog, [[1, 2, 3], [1, 2]])
    data = FitData(catalog, people, (), Streams(0))
    detector = Transition.fit(data, TransitionConfig(reach=1, smoothing=1.0))
    found = np.exp(-detector.surprise(np.array([2, 3, 1, 3]), np.array([1, 1, 0, 3])))
    expected = [(2 + 3 / 8) / 3, (0 + 2 / 8) / 3, 3 / 8, 2 / 8]
    np.testing.assert_allclose(found, expected)
    rows = detector.surprise(np.array([1, 2, 3]), np.full(3, 1))
    assert np.exp(-rows).sum() == pytest.approx(1.0)


def steps_off_list(items: IntArray) -> Steps:
    """``(A, C)`` items that A accounts added though no list held them."""
    n = items.size
    ones = np.ones(n, dtype=np.int64)
    return Steps(
        accounts=[f"user-somebody-{one}" for one in range(len(items))],
        account=np.repeat(np.arange(len(items)), items.shape[1]),
        kind=ones,
        near=ones.astype(np.bool_),
        chain=0 * ones,
        rank=0 * ones,
        chosen=0 * ones,
        added=ones,
        before=ones,
        items=items.ravel(),
        offsets=np.arange(n + 1),
        answers=np.zeros((n, 10), dtype=np.int64),
    )


def test_off_list_recovers_planted_effects() -> None:
    """Items whose surprise is known; means of accounts scatter by 0.5, choices within by 1."""
    rng = np.random.default_rng(0)
    catalog = Catalog.from_ids(list(range(2000)))
    data = FitData(catalog, Sequences.from_lists(catalog, [[1, 2]] * 8), (), Streams(0))
    surprises = np.linspace(-6, 6, 2000)  # of items 1..2000, whatever came before
    accounts, choices = 400, 30

    class Known(OffList):
        def surprise(self, items: IntArray, before: IntArray) -> FloatArray:
            found: FloatArray = surprises[items - 1]
            return found

    wanted = 0.5 * rng.standard_normal((accounts, 1)) + rng.standard_normal((accounts, choices))
    items = 1 + np.abs(surprises[None, None] - wanted[..., None]).argmin(axis=2)
    steps = steps_off_list(items)
    middle, within, between = Known.fit(replace(data, honest=(steps,)), TransitionConfig()).fitted[
        "honest"
    ]
    assert middle == pytest.approx(0.0, abs=0.1)
    assert within == pytest.approx(1.0, rel=0.1)
    assert between == pytest.approx(0.25, rel=0.3)


def test_off_list_counts_what_no_list_offered_and_grows_no_surer_than_people_differ() -> None:
    catalog = Catalog.from_ids([1, 2, 3])
    fitted = {"honest": np.array([5.0, 4.0, 0.25])}
    detector = OffList(TransitionConfig(), fitted, catalog)
    units = 1_000_000
    counts = np.array([[0, 0], [1, 8 * units], [16, 16 * 8 * units], [10**6, 8 * 10**6 * units]])
    expected = [0.0, 3 / np.sqrt(4.25), 3 / np.sqrt(0.5), 3 / np.sqrt(0.25)]
    np.testing.assert_allclose(detector.score(counts), expected, rtol=1e-5)


def test_off_list_leaves_out_what_lists_offered(world: World) -> None:
    """A thief who only follows lists is nobody to it; its first item was in no list."""
    steps = followed(world.thieves("autoregressive", 3))
    detector = world.fitted.detectors["off-list"].fresh()
    assert isinstance(detector, OffList)
    detector.observe(steps)
    assert detector.counts.tolist() == [[0, 0]] * 3
    assert detector.scores()[1].tolist() == [0.0] * 3


def test_continuity_counts_breaks() -> None:
    follower = Follower()
    pool = [[20, 21], [30, 31], [40, 41]]  # whole histories that nobody grew
    rows = [[1], [1, 2], [1, 2], [9], [9, 8], [1, 2, 3], *pool]
    steps = follower.follow(
        ["a"] * 9,
        np.array([item for row in rows for item in row]),
        np.cumsum([0, *map(len, rows)]),
        np.zeros((9, 0), np.int64),
    )
    detector = Continuity(DetectorConfig(), {}, Catalog.from_ids([1]))
    assert detector.observe(steps).tolist() == [0.0] * 7 + [1 / 6, 2 / 7]


@pytest.mark.parametrize("label", ["accepted-rank", "transition", "off-list", "continuity"])
def test_any_split_merges_exactly(world: World, label: str) -> None:
    """Whole numbers add up in any order: every other step to another worker."""
    steps = followed(world.honest(world.groups.test[:12], ClickLaw()))
    whole, left, right = (world.fitted.detectors[label].fresh() for _ in range(3))
    whole.observe(steps)
    for at in range(len(steps)):
        (left if at % 2 else right).observe(steps.row(at))
    left.merge(right)
    names, scores = left.scores()
    expected = dict(zip(*whole.scores(), strict=True))
    assert dict(zip(names, scores, strict=True)) == expected

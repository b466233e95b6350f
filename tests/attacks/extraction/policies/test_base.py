"""What each policy asks, on lists with a known content."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsec.attacks.extraction.policies.base import Policy, draw_from_lists, uniform_new
from recsec.registry import registry

ITEMS = 60
POLICIES = [name for name, kind in registry("policies").items().items() if issubclass(kind, Policy)]


def build(name, **settings):
    kind = registry("policies").get(name)
    return kind(kind.config_class(**settings), items=ITEMS)


def lists_for(histories, k, rng):
    """Lists that leave the history out, as an API serves them."""
    rows = []
    for history in histories:
        left = np.setdiff1d(np.arange(1, ITEMS + 1), history)
        rows.append(rng.permutation(left)[:k])
    return np.array(rows)


@pytest.mark.parametrize("name", POLICIES)
def test_sessions_hold_valid_items_and_none_twice(name):
    policy, rng = build(name), np.random.default_rng(0)
    histories = policy.first(20, rng)[:, None]
    for _ in range(30):
        lists = lists_for(histories, 5, rng)
        grown = policy.next(histories, lists, rng)
        assert grown.dtype == np.int64
        assert grown.min() >= 1
        assert grown.max() <= ITEMS
        histories = np.concatenate([histories, grown[:, None]], axis=1)
    ordered = np.sort(histories, axis=1)
    assert (ordered[:, 1:] != ordered[:, :-1]).all()


@pytest.mark.parametrize("name", POLICIES)
def test_the_same_answers_lead_to_the_same_questions(name):
    asked = []
    for _ in range(2):
        policy, rng, answers = build(name), np.random.default_rng(7), np.random.default_rng(1)
        histories = policy.first(6, rng)[:, None]
        for _ in range(10):
            grown = policy.next(histories, lists_for(histories, 5, answers), rng)
            histories = np.concatenate([histories, grown[:, None]], axis=1)
        asked.append(histories)
    np.testing.assert_array_equal(asked[0], asked[1])


def test_autoregressive_stays_in_the_list_uniformly_or_by_rank():
    histories, lists = np.full((9000, 1), 9), np.tile([1, 2, 3, 4], (9000, 1))
    rng = np.random.default_rng(0)
    uniform = np.bincount(build("autoregressive").next(histories, lists, rng), minlength=5)[1:]
    np.testing.assert_allclose(uniform / 9000, 0.25, atol=0.02)
    weighted = build("autoregressive", rank_exponent=1.0).next(histories, lists, rng)
    share = np.bincount(weighted, minlength=5)[1:] / 9000
    np.testing.assert_allclose(share, np.array([12, 6, 4, 3]) / 25, atol=0.02)


def test_mixed_leaves_the_list_as_often_as_it_says():
    histories, lists = np.full((9000, 1), 9), np.tile([1, 2, 3, 4], (9000, 1))
    chosen = build("mixed", share=0.3).next(histories, lists, np.random.default_rng(0))
    expected = 0.3 * (ITEMS - 1 - 4) / (ITEMS - 1)
    assert np.mean(chosen > 4) == pytest.approx(expected, abs=0.02)


def test_coverage_asks_about_more_items_than_autoregressive():
    """The target always serves the same few items, as one that has collapsed would."""
    asked = {}
    for name in ("autoregressive", "coverage"):
        policy, rng = build(name), np.random.default_rng(0)
        histories = policy.first(4, rng)[:, None]
        for _ in range(20):
            favorites = np.array([np.setdiff1d(np.arange(1, 31), row)[:5] for row in histories])
            grown = policy.next(histories, favorites, rng)
            histories = np.concatenate([histories, grown[:, None]], axis=1)
        asked[name] = len(np.unique(histories))
    assert asked["coverage"] > asked["autoregressive"] + 5


def test_coverage_starts_with_what_was_asked_least():
    policy, rng = build("coverage"), np.random.default_rng(0)
    first = np.concatenate([policy.first(20, rng) for _ in range(3)])
    assert sorted(first.tolist()) == list(range(1, ITEMS + 1))


def test_short_lists_and_empty_lists():
    rng = np.random.default_rng(0)
    lists = np.array([[7, 0, 0], [0, 0, 0]])
    chosen = draw_from_lists(lists, np.ones((2, 3)), np.array([5, 6]), rng)
    assert chosen.tolist() == [7, 6]


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_uniform_new_is_new(seed):
    rng = np.random.default_rng(seed)
    histories = np.stack([rng.permutation(ITEMS)[:50] + 1 for _ in range(5)])
    chosen = uniform_new(histories, ITEMS, rng)
    assert not (histories == chosen[:, None]).any()

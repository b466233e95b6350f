"""A suspect may answer badly; the others of its answers still count."""

from __future__ import annotations

import numpy as np
import pytest

from recsec.data.catalog import Catalog
from recsec.errors import TargetError
from recsec.ownership import ForeignTarget, ask
from recsec.ownership.suspect import PATIENCE
from recsec.targets import CallableTarget, LocalTarget, PartialAnswer

HISTORIES = np.array([[3, 5], [8, 0], [1, 2], [4, 9], [7, 6]])


def test_a_good_suspect_is_asked_once_per_question(taste):
    target = LocalTarget(taste, chunk=2)
    found = ask(target, HISTORIES, 6)
    np.testing.assert_array_equal(found.lists, taste.top_k(HISTORIES, 6))
    assert found.answered.all()
    assert found.reason is None


def test_one_broken_answer_costs_no_other(split):
    """An unknown id, an item twice, too many items, an exception: left out, and said."""
    good = list(range(1000, 1006))

    def one(history):
        first = history[0]
        if first == 1007:
            return ["nobody knows this", *good]
        if first == 1000:
            return [1001, 1001]
        if first == 1003:
            raise OSError("no connection")
        return good

    target = CallableTarget(lambda histories, k: [one(h)[:k] for h in histories], split.catalog)
    found = ask(target, HISTORIES, 6)
    assert found.answered.tolist() == [True, False, False, False, True]
    assert found.lists[0].tolist() == [1, 2, 3, 4, 5, 6]
    assert not found.lists[1:4].any()
    assert "nobody knows this" in found.reason


def test_shorter_lists_are_answers(split):
    target = CallableTarget(lambda histories, k: [[1004] for _ in histories], split.catalog)
    found = ask(target, HISTORIES, 4)
    assert found.answered.all()
    assert found.lists.tolist() == [[5, 0, 0, 0]] * 5


def test_what_was_answered_in_part_is_not_asked_again(split):
    asked = []

    class Half:
        catalog, chunk = split.catalog, 5

        def query(self, account, histories, k):
            asked.append(len(histories))
            lists = np.tile(np.arange(1, k + 1), (len(histories), 1))
            if len(asked) == 1:
                kept = np.array([True, True, False, True, True])
                raise PartialAnswer("one timed out", lists=lists, answered=kept)
            return lists

    found = ask(Half(), HISTORIES, 3)
    assert found.answered.all()
    assert asked == [5, 1]


def test_a_dead_suspect_is_given_up(split):
    asked = []

    def dead(histories, k):
        asked.append(len(histories))
        raise OSError("connection refused")

    many = np.ones((500, 1), dtype=np.int64)
    with pytest.raises(TargetError, match=f"failed {PATIENCE} times in a row"):
        ask(CallableTarget(dead, split.catalog), many, 5)
    assert len(asked) == PATIENCE + 1


def test_a_suspect_that_says_nothing_is_no_evidence(split):
    silent = CallableTarget(lambda histories, k: [[] for _ in histories], split.catalog)
    with pytest.raises(TargetError, match="no item of the catalog"):
        ask(silent, HISTORIES, 5)


def test_another_catalog_is_spoken_to_in_external_ids(taste, split):
    """The same recommender with items in another order, some missing, some unknown to us."""
    ids = split.catalog.ids.tolist()
    other = [5, 6, *reversed(ids[:100])]
    theirs = type(taste)(Catalog.from_ids(other), seed=3)
    foreign = ForeignTarget(theirs, split.catalog)
    assert foreign.shared == 100
    histories = np.array([[2, 200, 7], [150, 0, 0], [1, 0, 0]])
    found = foreign.query("a", histories, 8)
    given = [[ids[1], ids[6]], [], [ids[0]]]
    for row, answer in zip(found, theirs.recommend(given, 8), strict=True):
        known = [ids.index(item) + 1 for item in answer if item in ids]
        assert row[row > 0].tolist() == known
        assert (row[: len(known)] > 0).all()

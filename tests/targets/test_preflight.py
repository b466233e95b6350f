from __future__ import annotations

import numpy as np
import pytest

from recsec.errors import TargetError, UsageError
from recsec.targets import LocalTarget, Preflight, preflight

HISTORIES = np.array([[1, 2, 3], [4, 5, 0], [6, 0, 0]])


def test_a_sound_target_passes(decay):
    found = preflight(LocalTarget(decay), HISTORIES, 10)
    assert found == Preflight(calls=9, k=10, shortest=10, longest=10, ordered=True, own_history=0)


def test_short_lists_and_answered_history_are_reported(oracle):
    def query(account, histories, k):
        newest = histories.max(axis=1)
        return np.column_stack([newest, newest + 1, np.zeros((len(newest), k - 2), int)])

    oracle.query = query
    found = preflight(oracle, HISTORIES, 6)
    assert (found.shortest, found.longest, found.own_history) == (2, 2, 0.5)
    assert found.defects == (
        "no list is longer than 2, though 6 items were asked for",
        "50.0% of the listed items are in the history that was asked about",
    )


def test_a_target_that_repeats_what_it_is_told_is_refused(oracle):
    oracle.query = lambda account, histories, k: np.pad(histories, ((0, 0), (0, k)))[:, :k]
    with pytest.raises(TargetError, match="nothing but their own items"):
        preflight(oracle, HISTORIES, 6)


def test_popular_items_less_the_history_are_one_ranking(oracle):
    """As an API of popular items answers: no two lists are alike, and none was made for anybody."""
    histories = np.arange(60).reshape(20, 3) % 12 + 1

    def popular(account, histories, k):
        return np.stack(
            [[item for item in range(1, 41) if item not in set(row)][:k] for row in histories]
        )

    oracle.query = popular
    with pytest.raises(TargetError, match="20 different histories from one and the same ranking"):
        preflight(oracle, np.column_stack([histories, np.arange(20) + 13]), 6)


def test_unordered_answers_are_reported(oracle):
    oracle.query = lambda account, histories, k: histories[:, :1] + (np.arange(k)[::-1])
    assert not preflight(oracle, HISTORIES, 6).ordered


def test_a_target_that_does_not_repeat_itself_is_refused(oracle):
    turn = iter(range(100))
    oracle.query = lambda account, histories, k: histories[:, :1] + next(turn) + np.arange(k)
    with pytest.raises(TargetError, match="does not repeat itself: 3 of 3 histories"):
        preflight(oracle, HISTORIES, 3)


def test_lists_that_differ_late_are_shown_where_they_do(oracle):
    turn = iter(range(100))

    def late(account, histories, k):
        lists = histories[:, :1] + np.arange(k)
        lists[:, 6] += 10 + next(turn)
        return lists

    oracle.query = late
    with pytest.raises(TargetError, match="from place 6 on") as caught:
        preflight(oracle, HISTORIES, 8)
    shown = str(caught.value).split("on ", 1)[1].split(", then ")
    assert shown[0] != shown[1].removesuffix(")")


def test_a_target_that_ignores_the_history_is_refused(oracle):
    oracle.query = lambda account, histories, k: np.tile(np.arange(1, k + 1), (len(histories), 1))
    with pytest.raises(TargetError, match=r"same list \(7, 14, 21 \.\.\.\)"):
        preflight(oracle, HISTORIES, 3)


def test_empty_answers_are_refused(oracle):
    oracle.query = lambda account, histories, k: np.zeros((len(histories), k), dtype=np.int64)
    with pytest.raises(TargetError, match="empty lists"):
        preflight(oracle, HISTORIES, 3)


def test_a_target_that_does_not_respect_k_is_refused(oracle):
    plain = oracle.query
    oracle.query = lambda account, histories, k: plain(account, histories, 10)
    with pytest.raises(TargetError, match="asked for 3 lists of 4 items"):
        preflight(oracle, HISTORIES, 4)


@pytest.mark.parametrize("histories", [HISTORIES[:1], np.ones((3, 2), dtype=np.int64)])
def test_two_different_histories_are_needed(oracle, histories):
    with pytest.raises(UsageError, match="at least two different histories"):
        preflight(oracle, histories, 4)

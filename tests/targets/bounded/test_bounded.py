"""A client adds events and looks; it can't shorten, rewrite, or borrow a history."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsec.data.catalog import Catalog
from recsec.errors import RunError, TargetError
from recsec.models import Recommender
from recsec.targets import LocalTarget
from recsec.targets.bounded import DAY, BoundedTarget, Pace, Serving, Sybils
from recsec.types import IntArray

SLOW = Pace(((DAY, 3),))


class Echo:
    """Serves the newest item of each history first, then the others, oldest last."""

    chunk = 64

    def __init__(self) -> None:
        self.catalog = Catalog.from_ids(range(40))
        self.asked: list[IntArray] = []

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        self.asked.append(histories)
        lists = np.zeros((len(histories), k), dtype=np.int64)
        for row, history in enumerate(histories):
            newest = list(dict.fromkeys(history[history > 0][::-1].tolist()))[:k]
            lists[row, : len(newest)] = newest
        return lists


def bounded(pace: Pace | None = None, **options: int) -> BoundedTarget:
    return BoundedTarget(Echo(), pace, **options)


def test_an_answer_is_for_the_history_that_was_seen() -> None:
    target = bounded()
    for item in (5, 6, 7):
        target.act("a", item, at=0.0)
    target.act("b", 9, at=0.0)
    assert target.look(["a", "b", "stranger"], 3, at=1.0).tolist() == [
        [7, 6, 5],
        [9, 0, 0],
        [0] * 3,
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 40)), max_size=30))
def test_accounts_do_not_touch_each_other(events: list[tuple[str, int]]) -> None:
    target = bounded()
    for account, item in events:
        target.act(account, item, at=0.0)
    for account in "abc":
        own = [item for who, item in events if who == account]
        assert target.history(account, at=0.0).tolist() == own


@pytest.mark.parametrize(
    "sent",
    [[5], [5, 6], [6, 5, 7], [5, 6, 8, 7], [7], []],
    ids=["shorter", "the same", "rewritten", "two events", "begun anew", "emptied"],
)
def test_a_history_that_is_sent_is_the_kept_one_and_an_event(sent: list[int]) -> None:
    target = bounded()
    target.act("a", 5)
    target.act("a", 6)
    with pytest.raises(TargetError, match="not the one that is kept"):
        target.query("a", np.array([sent], dtype=np.int64), 2)
    assert target.history("a").tolist() == [5, 6]
    assert target.query("a", np.array([[5, 6, 9, 0]]), 2).tolist() == [[9, 6]]


def test_haste_gains_nothing_and_loses_nothing() -> None:
    target = bounded(SLOW)
    due = [target.act("a", item, at=0.0) for item in range(1, 6)]
    assert due == [0.0, 0.0, 0.0, DAY, DAY]
    assert target.history("a", at=0.0).tolist() == [1, 2, 3]
    assert target.look(["a"], 5, at=DAY - 1).tolist() == [[3, 2, 1, 0, 0]]
    assert target.history("a", at=DAY).tolist() == [1, 2, 3, 4, 5]


def test_a_flood_is_dropped_not_kept() -> None:
    target = bounded(SLOW)
    for item in range(1, 41):
        target.act("a", item, at=0.0)
    assert len(target.events("a")) == 6
    assert target.history("a", at=9 * DAY).tolist() == [1, 2, 3, 4, 5, 6]


def test_only_the_newest_events_are_kept() -> None:
    target = bounded(longest=4)
    for item in range(1, 11):
        target.act("a", item, at=float(item))
    assert target.history("a", at=99.0).tolist() == [7, 8, 9, 10]
    assert len(target.events("a")) == 4


def test_histories_survive_a_restart(tmp_path: Path) -> None:
    target = bounded(SLOW)
    for item in range(1, 6):
        target.act("a", item, at=0.0)
    target.act("b", 7, at=5.0)
    target.save(tmp_path / "histories.parquet")
    again = bounded(SLOW).restore(tmp_path / "histories.parquet")
    assert again.history("a", at=0.0).tolist() == [1, 2, 3]
    assert again.act("a", 6, at=1.0) == target.act("a", 6, at=1.0) == DAY
    assert again.history("b", at=5.0).tolist() == [7]
    (tmp_path / "histories.parquet").write_bytes(b"torn")
    with pytest.raises(RunError, match="damaged"):
        bounded().restore(tmp_path / "histories.parquet")


def test_histories_of_another_catalog_are_refused(tmp_path: Path) -> None:
    target = bounded()
    target.catalog = Catalog.from_ids(range(90))
    target.act("a", 77)
    target.save(tmp_path / "histories.parquet")
    with pytest.raises(RunError, match="lacks"):
        bounded().restore(tmp_path / "histories.parquet")


def test_an_item_that_does_not_exist() -> None:
    with pytest.raises(TargetError, match="no item 41"):
        bounded().act("a", 41)


def test_sybils_pay_for_every_session_with_an_account_and_its_days() -> None:
    thief = Sybils(bounded(SLOW))
    grown = np.array([[1], [2]])
    for item in (3, 4, 5):
        lists = thief.query("thief", grown, 2)
        assert lists[:, 0].tolist() == grown[:, -1].tolist()
        grown = np.column_stack([grown, [item, item]])
    assert (len(thief.last), thief.events) == (2, 6)
    assert thief.days.tolist() == [1, 1]
    thief.query("thief", grown, 2)  # the fourth event of each waits for a day
    assert thief.days.tolist() == [2, 2]
    thief.query("thief", np.array([[1, 3, 9]]), 2)  # no session so far: a new account acts it all
    assert (len(thief.last), thief.events) == (3, 11)


def test_sessions_that_begin_alike_are_accounts_of_their_own() -> None:
    thief = Sybils(bounded())
    thief.query("thief", np.array([[1], [1]]), 2)
    thief.query("thief", np.array([[1, 2], [1, 2], [1, 2]]), 2)
    assert len(thief.last) == 3
    assert thief.events == 2 + 2 + 2


def test_each_account_is_served_as_it_is_treated() -> None:
    target = BoundedTarget(Serving({"full": Echo(), "decoys": Decoys()}))
    for account in ("good", "bad", "worse"):
        target.act(account, 5, at=0.0)
    serving = target.target
    assert isinstance(serving, Serving)
    serving.review(["good", "bad", "worse"], np.array([0, 3, 4]))
    assert target.look(["good", "bad", "worse"], 1, at=0.0).tolist() == [[5], [40], [0]]


class Decoys(Echo):
    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        return np.full((len(histories), k), 40)


def test_a_local_target_behind_it_answers_as_without(decay: Recommender) -> None:
    bare = LocalTarget(decay)
    target = BoundedTarget(bare)
    histories = np.array([[3, 4, 5], [6, 7, 8]])
    for name, row in zip("ab", histories, strict=True):
        for item in row:
            target.act(name, int(item))
    assert np.array_equal(target.look(["a", "b"], 5), bare.query("x", histories, 5))

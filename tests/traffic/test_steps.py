"""What a query extends, by which item, and where that item stood."""

from __future__ import annotations

import numpy as np
import pytest

from recsec.traffic import EXTENDS, REPEATS, STARTS, Follower, Query, Steps, crowd
from recsec.traffic.steps import BRANCHES, LEAVES

NONE = np.zeros(0, np.int64)


def ask(follower: Follower, *queries: tuple[str, list[int], list[int]]) -> Steps:
    lengths = [len(history) for _, history, _ in queries]
    return follower.follow(
        [name for name, _, _ in queries],
        np.array([item for _, history, _ in queries for item in history], dtype=np.int64),
        np.cumsum([0, *lengths]),
        np.array([answer for _, _, answer in queries], dtype=np.int64).reshape(len(queries), -1),
    )


def test_ranks_of_a_growing_history() -> None:
    steps = ask(
        Follower(),
        ("a", [5], [7, 8, 9]),
        ("a", [5, 9], [1, 2, 3]),  # third of the list before
        ("a", [5, 9, 4], [6, 0, 0]),  # not listed
        ("a", [5, 9, 4, 6], [2, 3, 0]),
    )
    assert steps.kind.tolist() == [STARTS, EXTENDS, EXTENDS, EXTENDS]
    assert steps.rank.tolist() == [-1, 3, 0, 1]
    assert steps.near.tolist() == [True] * 4
    assert steps.chain.tolist() == [0, 0, 0, 0]
    items, before, row = steps.pairs()
    assert list(zip(items.tolist(), before.tolist(), row.tolist(), strict=True)) == [
        (5, 0, 0),
        (9, 5, 1),
        (4, 9, 2),
        (6, 4, 3),
    ]


def test_accounts_do_not_mix_and_sessions_side_by_side_are_seen() -> None:
    steps = ask(
        Follower(),
        ("a", [1], [2]),
        ("b", [1, 2], [3]),  # another account: no extension
        ("a", [9], [8]),
        ("a", [1, 2], [3]),  # extends another than the newest
        ("a", [9], [8]),
    )
    assert steps.kind.tolist() == [STARTS, STARTS, EXTENDS, EXTENDS, REPEATS]
    assert steps.near.tolist() == [True, False, True, True, True]
    assert steps.chain.tolist() == [0, 0, 1, 0, 1]
    assert steps.added.tolist() == [1, 2, 1, 1, 0]


def test_several_items_at_once_and_a_sliding_window() -> None:
    long = list(range(1, 31))
    steps = ask(
        Follower(),
        ("a", long[:10], [13, 11, 12]),
        ("a", long[:13], [1, 14, 2]),  # three new items; the first of them was listed second
        ("a", long[4:14], [15, 16, 17]),  # a client that sends the newest ten items
    )
    assert steps.kind.tolist() == [STARTS, EXTENDS, EXTENDS]
    assert steps.added.tolist() == [10, 3, 1]
    assert steps.rank.tolist() == [-1, 2, 2]


def test_lists_that_are_not_known() -> None:
    follower = Follower()
    first = follower.follow(["a"], np.array([3]), np.array([0, 1]), np.zeros((1, 0), np.int64))
    second = follower.follow(["a"], np.array([3, 4]), np.array([0, 2]), np.zeros((1, 0), np.int64))
    assert (first.rank.tolist(), second.rank.tolist()) == ([-1], [-1])
    assert second.kind.tolist() == [EXTENDS]
    empty = Follower().follow([], NONE, np.zeros(1, np.int64), np.zeros((0, 3), np.int64))
    assert len(empty) == 0


def test_from_an_empty_history() -> None:
    steps = ask(Follower(), ("a", [], [4, 5]), ("a", [5], [1, 2]))
    assert steps.kind.tolist() == [STARTS, EXTENDS]
    assert steps.rank.tolist() == [-1, 2]


def test_one_at_a_time_is_the_same_and_so_is_a_restored_follower() -> None:
    rng = np.random.default_rng(0)
    queries = []
    for name in ("a", "b", "c"):
        history: list[int] = []
        for _ in range(30):
            history = (
                [*history, int(rng.integers(1, 40))]
                if rng.random() < 0.8
                else [int(rng.integers(1, 40))]
            )
            queries.append((name, history, rng.permutation(40)[:6].tolist()))
    order = rng.permutation(len(queries))
    shuffled = [queries[at] for at in sorted(order, key=lambda at: at % 30)]
    whole = ask(Follower(), *shuffled)
    follower = Follower()
    for at, (name, history, answer) in enumerate(shuffled):
        step = follower.follow_one(name, Query(np.array(history), np.array(answer)))
        found = (step.kind[0], step.chain[0], step.rank[0], step.near[0], step.added[0])
        expected = tuple(
            part[at] for part in (whole.kind, whole.chain, whole.rank, whole.near, whole.added)
        )
        assert found == expected
        if at % 20 == 0:
            follower = Follower.from_state(*follower.state())


@pytest.mark.parametrize(("top", "bytes_each"), [(65_535, 2), (65_536, 4)])
def test_a_state_has_as_much_room_for_an_item_as_the_largest_needs(
    top: int, bytes_each: int
) -> None:
    asked = [("a", [9, top], [top, 5]), ("a", [9, top, 5], [7, 0]), ("b", [top], [0, 0])]
    follower = Follower()
    ask(follower, *asked)
    names, arrays = follower.state()
    assert [arrays[name].dtype.itemsize for name in ("tail", "answer")] == [bytes_each] * 2
    again = Follower.from_state(names, arrays)
    later = [("a", [9, top, 5, 7], [1]), ("a", [9, top, 7], [1]), ("b", [top, 5], [1])]
    kept, fresh = (ask(one, *later) for one in (again, follower))
    assert kept.kind.tolist() == fresh.kind.tolist() == [EXTENDS, BRANCHES, EXTENDS]
    assert kept.rank.tolist() == fresh.rank.tolist()
    assert kept.chosen.tolist() == fresh.chosen.tolist()


def test_memory_is_bounded() -> None:
    follower = Follower()
    ask(follower, *[("a", [item], [1]) for item in range(1, 2 * LEAVES)])
    _, arrays = follower.state()
    assert len(arrays["account"]) == LEAVES
    oldest = ask(follower, ("a", [1, 2], [1]))
    newest = ask(follower, ("a", [2 * LEAVES - 1, 2], [1]))
    assert (oldest.kind[0], newest.kind[0]) == (STARTS, EXTENDS)


def test_merged_followers_know_both_accounts() -> None:
    left, right = Follower(), Follower()
    ask(left, ("a", [1], [2]))
    ask(right, ("b", [3], [4]))
    left.merge(right)
    steps = ask(left, ("a", [1, 2], [5]), ("b", [3, 4], [6]))
    assert steps.rank.tolist() == [1, 1]
    assert steps.near.tolist() == [True, True]


def test_a_crowd_is_packed_some_thousands_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that need other types and wider lists join to what one piece holds."""
    follower = Follower()
    for name, items, width in [("a", [1], 0), ("b", [70_000], 1), ("c", [3], 4), ("d", [300], 2)]:
        for end in range(3):
            history = (items * 3)[: end + 1]
            ask(follower, (name, [*history, *range(5, 5 + end)], [9] * width + [0] * (4 - width)))
    names, whole = follower.state()
    monkeypatch.setattr(crowd, "AT_ONCE", 1)
    _, pieces = follower.state()
    assert sorted(pieces) == sorted(whole)
    assert [len(whole["counters"]), *whole["answer"].shape] == [4, 12, 4]

    def kept(one: Follower) -> list[object]:
        every = one._accounts.items()
        return [(name, m.leaves, list(m.past.rows()), m.chains, m.recent) for name, m in every]

    for part in (whole, pieces):
        assert kept(Follower.from_state(names, part)) == kept(follower)

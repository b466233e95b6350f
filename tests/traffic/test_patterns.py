"""Request patterns: what clients send, and that it is followed as what the user did."""

from __future__ import annotations

import numpy as np
import pytest

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.targets.base import Target
from recsec.traffic import (
    BRANCHES,
    EXTENDS,
    PATTERNS,
    REPEATS,
    ClickLaw,
    Follower,
    Pattern,
    QueryLog,
    Steps,
    pattern_log,
)

LAW = ClickLaw(acceptance=0.4, first=0.4, bias=0.8, restart=0.02)


@pytest.fixture
def people(catalog: Catalog) -> Sequences:
    rng = np.random.default_rng(0)
    return Sequences.from_lists(catalog, [(rng.permutation(50) + 1).tolist() for _ in range(30)])


def play(target: Target, people: Sequences, pattern: Pattern, queries: int = 40) -> QueryLog:
    rng = np.random.default_rng(1)
    users = np.arange(len(people))
    return pattern_log(target, people, users, LAW, pattern, queries=queries, k=6, rng=rng)


def follow(log: QueryLog) -> Steps:
    return Follower().follow_rows(log, np.arange(len(log)))


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_is_near_what_came_before(
    target: Target, people: Sequences, name: str
) -> None:
    """The pattern is no break: at most a log's first query and a page long left."""
    steps = follow(play(target, people, PATTERNS[name]))
    asked = steps.kind != REPEATS
    assert (asked & ~steps.near).sum() / asked.sum() < 0.01


@pytest.mark.parametrize("name", ["growing", "current-item", "reloads", "window", "two-devices"])
def test_the_rank_taken_is_read_off_any_pattern(
    target: Target, people: Sequences, name: str
) -> None:
    """P(1) among listed choices is planted at 0.4 and found, whatever the client sends."""
    ranks = follow(play(target, people, PATTERNS[name])).rank
    taken = ranks[ranks > 0]
    assert abs((taken == 1).mean() - 0.4) < 4 * np.sqrt(0.24 / len(taken))


def test_reloads_repeat_and_widgets_repeat_the_page(target: Target, people: Sequences) -> None:
    twice = follow(play(target, people, Pattern(again=1.0)))
    assert (twice.kind == REPEATS).mean() == pytest.approx(0.5, abs=0.01)
    three = follow(play(target, people, Pattern(widgets=3)))
    assert (three.kind == REPEATS).mean() == pytest.approx(1 / 3, abs=0.05)


def test_pages_fetched_ahead_are_branches(target: Target, people: Sequences) -> None:
    steps = follow(play(target, people, Pattern(ahead=3)))
    assert (steps.kind == BRANCHES).mean() > 0.4
    assert (follow(play(target, people, Pattern())).kind == BRANCHES).sum() == 0


def test_the_item_at_hand_follows_the_one_before(target: Target, people: Sequences) -> None:
    log = play(target, people, Pattern(window=1))
    assert set(np.diff(log.calls.offsets).tolist()) == {1}
    steps = follow(log)
    later = steps.kind == EXTENDS
    assert later.mean() > 0.7  # another item seen before is the page of before
    _, before, row = steps.pairs()
    np.testing.assert_array_equal(before, steps.before[row])
    assert (steps.before[later] > 0).all()


def test_a_household_takes_turns(target: Target, people: Sequences) -> None:
    """Three persons' histories grow side by side, each of the person's own items."""
    steps = follow(play(target, people, Pattern(persons=3)))
    per = [len(set(steps.chain[steps.account == one].tolist())) for one in range(30)]
    assert np.median(per) >= 3

"""Filters on cases small enough to check by hand, and what each of them is said to remove."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from recsec.data.filters import Filters, Step, kept_rows

NONE = Filters(min_item=1, min_user=1, min_length=1, repeats="keep")

rows_of = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


def apply(rows, filters, ratings=None):
    users, items = (np.array(column, dtype=np.int64) for column in zip(*sorted(rows), strict=True))
    kept, steps = kept_rows(users, items, ratings, filters)
    return [(int(users[row]), int(items[row])) for row in kept], steps


def test_repeats_keep_the_first() -> None:
    users, items = np.array([0, 0, 0, 1]), np.array([5, 3, 5, 5])
    kept, steps = kept_rows(users, items, None, NONE.model_copy(update={"repeats": "drop"}))
    assert kept.tolist() == [0, 1, 3]
    assert steps[0] == Step("repeated user-item pairs", 1, 0, 0)


def test_items_come_first_and_each_rule_runs_once() -> None:
    # Item 9 has one row. Without it user 1 has one row and goes, and then item 8 has one row left,
    # which one pass leaves alone.
    rows = [(0, 7), (0, 8), (1, 8), (1, 9), (2, 7)]
    kept, steps = apply(rows, Filters(min_item=2, min_user=2, min_length=1))
    assert kept == [(0, 7), (0, 8)]
    counted = [(step.rule, step.rows, step.users, step.items) for step in steps[1:3]]
    assert counted == [
        ("items with fewer than 2 rows", 1, 0, 1),
        ("users with fewer than 2 rows", 2, 2, 0),
    ]


def test_the_core_repeats_until_nothing_changes() -> None:
    rows = [(0, 7), (0, 8), (1, 8), (1, 9), (2, 7)]
    kept, _ = apply(rows, Filters(min_item=2, min_user=2, min_length=1, core=True))
    assert kept == []


def test_ratings_below_the_least_go_and_unknown_ones_with_them() -> None:
    users, items = np.array([0, 0, 0]), np.array([0, 1, 2])
    rule = NONE.model_copy(update={"min_rating": 3.0})
    kept, steps = kept_rows(users, items, np.array([3.0, 2.9, np.nan]), rule)
    assert kept.tolist() == [0]
    assert steps[0] == Step("rating below 3", 2, 0, 2)
    assert len(kept_rows(users, items, None, rule)[0]) == 0
    assert len(kept_rows(users, items, np.array([np.nan] * 3), NONE)[0]) == 3


@given(rows_of, st.integers(1, 4), st.integers(1, 4), st.booleans())
@settings(max_examples=60)
def test_nothing_is_lost_from_the_account(rows, min_item, min_user, core) -> None:
    filters = Filters(min_item=min_item, min_user=min_user, core=core, min_length=2)
    kept, steps = apply(rows, filters)
    assert len(rows) - sum(step.rows for step in steps) == len(kept)
    assert len({user for user, _ in rows}) - sum(step.users for step in steps) == len(
        {user for user, _ in kept}
    )
    assert len({item for _, item in rows}) - sum(step.items for step in steps) == len(
        {item for _, item in kept}
    )


@given(rows_of, st.integers(1, 4))
@settings(max_examples=60)
def test_a_core_is_a_core_and_stays_one(rows, least) -> None:
    filters = Filters(min_item=least, min_user=least, core=True, min_length=1)
    kept, _ = apply(rows, filters)
    for column in zip(*kept, strict=True):
        assert min(np.unique(column, return_counts=True)[1]) >= least
    if kept:
        assert apply(kept, filters)[0] == kept


def test_words_that_are_no_filter_are_refused() -> None:
    with pytest.raises(ValidationError):
        Filters(min_items=3)  # type: ignore[call-arg]

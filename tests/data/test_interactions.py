"""From rows to the one table: order, numbering, times, fingerprints."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsec.data import filters, interactions
from recsec.data.filters import Filters
from recsec.data.interactions import Raw, arrange
from recsec.errors import DataError

ALL = Filters(min_item=1, min_user=1, min_length=1, repeats="keep")
SCHEMA = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float32, "time": pl.Int64}


def raw(*rows: tuple, schema=None) -> Raw:
    return Raw(pl.DataFrame(list(rows), schema=schema or SCHEMA, orient="row"))


def histories(data: Raw, filters: Filters = ALL) -> dict:
    interactions, _, _ = arrange(data, filters)
    sequences = interactions.sequences()
    pairs = zip(sequences.users.tolist(), sequences, strict=True)
    return {user: sequences.catalog.external(items) for user, items in pairs}


def test_rows_are_sorted_by_time_and_counted() -> None:
    data = raw((1, 10, 3, 500), (2, 10, 4, 100), (1, 11, 5, 200), (1, 12, 1, 900))
    assert histories(data) == {1: [11, 10, 12], 2: [10]}
    _, report, real = arrange(data, ALL)
    assert report.notes == ("rows that followed a later one of their user, now sorted by time: 1",)
    assert real


def test_equal_times_keep_the_order_of_the_file() -> None:
    data = raw((1, 12, 3, 5), (1, 10, 4, 5), (1, 11, 5, 5), (1, 9, 1, 4))
    assert histories(data) == {1: [9, 12, 10, 11]}


@pytest.mark.parametrize("known", ["all", "some", "none"])
def test_tables_that_are_arranged_in_pieces_come_out_the_same(
    known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces smaller than a user's rows, larger, and one for all."""
    rng = np.random.default_rng(0)
    times = rng.integers(0, 50, 400)
    rows = pl.DataFrame(
        {
            "user": rng.integers(0, 30, 400) * 7,
            "item": [f"i{item}" for item in rng.integers(0, 25, 400)],
            "rating": pl.Series(rng.integers(1, 6, 400), dtype=pl.Float32),
            "time": {"all": times, "none": [None] * 400}.get(known, [None, *times.tolist()[1:]]),
        },
        schema_overrides={"time": pl.Int64},
    )
    found = []
    for piece in (7, 40, 10_000):
        monkeypatch.setattr(filters, "PIECE", piece)
        monkeypatch.setattr(interactions, "PIECE", piece)
        found.append(arrange(Raw(rows), Filters(min_rating=2)))
    for table, report, real in found[1:]:
        assert table.fingerprint == found[0][0].fingerprint
        assert table.table.equals(found[0][0].table)
        assert (report, real) == found[0][1:]
    assert found[0][1].dropped > 0


def test_without_times_the_order_of_rows_counts() -> None:
    data = raw((2, 12, None, None), (1, 11, None, None), (2, 10, None, None))
    assert histories(data) == {1: [11], 2: [12, 10]}
    _, report, real = arrange(data, ALL)
    assert not real
    assert "no times" in report.notes[0]


@pytest.mark.parametrize(
    ("times", "real"),
    [
        ([978300000 + position for position in range(20)], False),
        ([978299999] + [978300000 + position for position in range(19)], False),
        ([7] * 20, False),
        ([60 * position for position in range(20)], True),
        ([position // 2 for position in range(20)], True),
    ],
    ids=["positions", "ML-1M here: -1 for rare items", "constant", "minutes", "ties"],
)
def test_positions_are_not_taken_for_clock_times(times: list[int], real: bool) -> None:
    data = raw(*((1, item, 3, time) for item, time in enumerate(times)))
    assert arrange(data, ALL)[2] is real


def test_a_user_with_one_event_is_dropped_and_counted() -> None:
    rows = [(user, item, 3, 60 * item) for user in range(5) for item in range(5)]
    data = raw(*rows, (9, 1, 3, 17))
    interactions, report, _ = arrange(data, Filters())
    assert 9 not in interactions.users
    step = next(step for step in report.steps if step.rule.startswith("users"))
    assert (step.rows, step.users) == (1, 1)


def test_nothing_left_says_which_rule_took_it() -> None:
    with pytest.raises(DataError, match="items with fewer than 5 rows: 1 rows"):
        arrange(raw((1, 10, 3, 5)), Filters())
    with pytest.raises(DataError, match="no interactions"):
        arrange(raw(), Filters())


def test_text_ids_and_items_that_the_file_does_not_describe() -> None:
    schema = SCHEMA | {"user": pl.String, "item": pl.String}
    items = pl.DataFrame({"id": ["b"], "title": ["Bee"], "genres": [["Drama"]], "year": [2001]})
    data = Raw(raw(("u", "b", 1, 60), ("u", "a", 1, 5), schema=schema).rows, items)
    interactions, _, _ = arrange(data, ALL)
    assert interactions.catalog.titles == ["a", "Bee"]
    assert interactions.catalog.genres == [[], ["Drama"]]
    assert interactions.catalog.years.tolist() == [0, 0, 2001]
    assert histories(data) == {"u": ["a", "b"]}


def test_the_fingerprint_sees_content_not_packing() -> None:
    rows = [(1, 10, 3, 500), (2, 10, 4, 100), (1, 11, 5, 200)]
    first = arrange(raw(*rows), ALL)[0].fingerprint
    assert arrange(raw(*rows[::-1]), ALL)[0].fingerprint == first
    for place, other in enumerate([(3, 10, 3, 500), (1, 12, 3, 500), (1, 10, 2, 500)]):
        assert arrange(raw(other, *rows[1:]), ALL)[0].fingerprint != first, place
    assert arrange(raw((1, 10, 3, 501), *rows[1:]), ALL)[0].fingerprint != first
    assert arrange(raw((1, 10, None, 500), *rows[1:]), ALL)[0].fingerprint != first


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(5, 9), st.just(1.0), st.integers(0, 50)),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=60)
def test_the_table_says_what_the_rows_said(rows) -> None:
    interactions, _, _ = arrange(raw(*rows), ALL)
    expected: dict[int, list[int]] = {}
    for user, item, _, _ in sorted(rows, key=lambda row: (row[0], row[3])):
        expected.setdefault(user, []).append(item)
    assert histories(raw(*rows)) == expected
    table = interactions.table
    assert table["order"].to_list() == [
        at for items in expected.values() for at in range(len(items))
    ]
    assert table["item"].min() == 1
    assert interactions.offsets[-1] == len(rows)
    assert np.all(np.diff(interactions.offsets) > 0)

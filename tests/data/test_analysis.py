"""The numbers of ``data analyze`` on data that can be counted by hand."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsec.data import Dataset, Filters, analyze, load
from recsec.data.analysis import gini
from recsec.data.interactions import Raw
from recsec.data.sources.movielens import item_table

ALL = Filters(min_item=1, min_user=1, min_length=1)
SCHEMA = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float32, "time": pl.Int64}
DAY = 86_400
ROWS = [
    (1, 10, 4, 0),
    (1, 11, 2, 40 * DAY),
    (1, 10, 5, 41 * DAY),
    (2, 10, 4, 100 * DAY),
]
ITEMS = item_table([(10, "Heat (1995)", ["Crime", "Drama"]), (11, "Twins (1988)", ["Drama"])])


def dataset(filters: Filters = ALL) -> Dataset:
    rows = pl.DataFrame(ROWS, schema=SCHEMA, orient="row")
    return Dataset.from_raw("t", Raw(rows, ITEMS), filters=filters)


def test_counts_by_hand() -> None:
    summary = analyze(dataset()).summary
    expected = {
        "users": 2,
        "items": 2,
        "interactions": 3,
        "density": 3 / 4,
        "length_min": 1,
        "length_median": 1.5,
        "length_max": 2,
        "item_gini": 1 / 6,
        "top_tenth_share": 2 / 3,
        "repeats": 1,
        "repeat_share": 1 / 4,
        "rating_mean": 10 / 3,
        "year_first": 1988,
        "year_mean": (2 * 1995 + 1988) / 3,
        "year_last": 1995,
        "times": "clock",
        "first_day": "1970-01-01",
        "last_day": "1970-04-11",
        "days": 100,
        "rows_read": 4,
        "rows_dropped": 1,
        "dropped[repeated user-item pairs]": 1,
        "genre_share[Drama]": 1.0,
        "genre_share[Crime]": 2 / 3,
        "rating_share[4]": 2 / 3,
        "rating_share[2]": 1 / 3,
    }
    assert {key: summary[key] for key in expected} == pytest.approx(expected)
    assert summary["top_items"][0] == {"id": 10, "title": "Heat (1995)", "rows": 2}


def test_repeats_are_counted_also_where_they_stay() -> None:
    kept = analyze(dataset(ALL.model_copy(update={"repeats": "keep"}))).summary
    assert (kept["interactions"], kept["repeats"]) == (4, 1)


def test_tables_by_hand() -> None:
    analysis = analyze(dataset())
    assert analysis.genres.rows() == [("Drama", 2, 3), ("Crime", 1, 2)]
    assert analysis.years.rows() == [(1988, 1, 1), (1995, 1, 2)]
    assert analysis.ratings.rows() == [(2.0, 1), (4.0, 2)]
    assert analysis.counts.tolist() == [2, 1]
    assert analysis.sample.tolist() == [[True, True], [True, False]]
    assert analysis.activity is not None
    assert analysis.activity.rows() == [
        (date(1970, 1, 1), 1),
        (date(1970, 2, 1), 1),
        (date(1970, 3, 1), 0),
        (date(1970, 4, 1), 1),
    ]


def test_order_only_times_give_no_span_and_no_activity() -> None:
    analysis = analyze(load("synthetic:users=30,items=40"))
    assert analysis.activity is None
    assert analysis.summary["times"] == "order only"
    assert analysis.summary["days"] is None


def test_a_core_adds_up_its_passes() -> None:
    rows = [(u, i, 3, 60 * i) for u, i in [(0, 7), (0, 8), (1, 8), (1, 9), (2, 7)]]
    rows += [(u, i, 3, 60 * i) for u in (5, 6) for i in (20, 21)]
    raw = Raw(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    core = Filters(min_item=2, min_user=2, min_length=1, core=True)
    summary = analyze(Dataset.from_raw("t", raw, filters=core)).summary
    dropped = sum(value for key, value in summary.items() if key.startswith("dropped["))
    assert dropped == summary["rows_dropped"] == 5


def test_data_without_ratings_genres_and_years(tmp_path: Path) -> None:
    path = tmp_path / "Toys.txt"
    path.write_text("".join(f"{user} 1 2 3 4 5\n" for user in range(1, 7)))
    analysis = analyze(load(path))
    for key in ("rating_mean", "year_first", "year_mean", "year_last"):
        assert analysis.summary[key] is None
    assert analysis.genres.height == analysis.ratings.height == analysis.years.height == 0


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(2, 5))
def test_gini_is_bounded_and_knows_no_scale(counts: list[int], factor: int) -> None:
    value = gini(np.array(counts))
    assert -1e-12 <= value < 1
    assert gini(factor * np.array(counts)) == pytest.approx(value)
    assert gini(np.array(counts * 2)) == pytest.approx(value)


@pytest.mark.data("ml-1m")
def test_movielens_1m() -> None:
    summary = analyze(load("ml-1m")).summary
    assert summary["times"] == "order only"
    assert summary["top_items"][0] == {"id": 2858, "title": "American Beauty (1999)", "rows": 3428}
    assert summary["genre_share[Comedy]"] == pytest.approx(356_422 / 999_611)

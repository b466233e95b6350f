"""Splitting by clock time."""

from __future__ import annotations

import polars as pl
import pytest

from recsec.data import Dataset, Filters
from recsec.data.interactions import Raw
from recsec.errors import DataError

ALL = Filters(min_item=1, min_user=1, min_length=1)


def dataset(times: list[int]) -> Dataset:
    rows = [(at % 2, at, 3.0, time) for at, time in enumerate(times)]
    schema = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float32, "time": pl.Int64}
    return Dataset.from_raw("t", Raw(pl.DataFrame(rows, schema=schema, orient="row")), filters=ALL)


def test_past_and_future() -> None:
    split = dataset([60 * at for at in range(10)]).time_split(valid=0.2, test=0.3)
    assert (split.valid_from, split.test_from) == (300, 420)
    assert [part.tolist() for part in split.train] == [[1, 3, 5], [2, 4]]
    assert [part.tolist() for part in split.valid] == [[7], [6]]
    assert [part.tolist() for part in split.test] == [[9], [8, 10]]


def test_rows_of_one_second_stay_together() -> None:
    split = dataset([0, 60, 60, 60, 120, 180, 180, 180, 180, 240]).time_split(valid=0.3, test=0.3)
    assert (split.valid_from, split.test_from) == (120, 240)
    assert [len(part.items) for part in (split.train, split.valid, split.test)] == [4, 5, 1]


def test_positions_cannot_be_split_by_time() -> None:
    with pytest.raises(DataError, match="no clock times"):
        dataset([5] * 10).time_split()


def test_shares_that_do_not_fit() -> None:
    data = dataset([60 * at for at in range(10)])
    with pytest.raises(DataError, match="must be positive"):
        data.time_split(valid=0.5, test=0.5)
    with pytest.raises(DataError, match="share one time"):
        dataset([0] * 9 + [60]).time_split(valid=0.1, test=0.3)

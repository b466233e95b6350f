"""Logs: written and read back, and every fault counted."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.errors import DataError
from recsec.targets import Budget, MeteredTarget, Transcript
from recsec.traffic import ClickLaw, QueryLog, honest_log, read_log, write_log

if TYPE_CHECKING:
    from conftest import Next

ROW = {"call": 0, "account": "a", "parent": None, "items": [101, 102], "k": 2, "answer": [103, 104]}


def write(path: Path, *rows: dict[str, object]) -> Path:
    pl.DataFrame([{**ROW, **row} for row in rows], infer_schema_length=None).write_parquet(path)
    return path


@pytest.fixture
def log(target: Next, catalog: Catalog) -> QueryLog:
    people = Sequences.from_lists(catalog, [[1, 5, 9, 30], [2, 4, 44]])
    law = ClickLaw(acceptance=0.5, restart=0.2)
    rng = np.random.default_rng(0)
    return honest_log(target, people, np.arange(2), law, queries=9, k=3, rng=rng)


def test_written_and_read_back(log: QueryLog, tmp_path: Path) -> None:
    for path in (tmp_path / "log.parquet", tmp_path / "folder"):
        written = write_log(path, log)
        assert written.is_file()
        again = read_log(path, log.catalog)
        assert again.faults == ()
        assert again.calls.account == log.calls.account
        for name in ("call", "parent", "items", "offsets", "k", "answers"):
            np.testing.assert_array_equal(getattr(again.calls, name), getattr(log.calls, name))


def test_one_schema(log: QueryLog, tmp_path: Path, target: Next) -> None:
    """The transcript reads what traffic wrote, and a log what the meter wrote."""
    write_log(tmp_path / "honest", log)
    assert len(Transcript.open(tmp_path / "honest", log.catalog)) == len(log)
    with MeteredTarget(target, budget=Budget(calls=9, k=4), folder=tmp_path / "stolen") as meter:
        histories = np.array([[3], [7], [9]])
        for item in (20, 21, 22):
            meter.query("thief", histories, 4)
            histories = np.column_stack([histories, np.full(3, item)])
    stolen = read_log(tmp_path / "stolen", log.catalog)
    items, offsets = stolen.histories(np.array([8]))
    assert items[offsets[0] : offsets[1]].tolist() == [9, 20, 21]
    assert stolen.lengths.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_clock_times_are_kept(log: QueryLog, tmp_path: Path) -> None:
    timed = QueryLog(log.catalog, log.calls, np.arange(len(log)) + 1_000)
    again = read_log(write_log(tmp_path / "t.parquet", timed), log.catalog)
    assert again.times is not None
    assert again.times.tolist() == list(range(1_000, 1_000 + len(log)))


def test_faults_are_counted(tmp_path: Path, catalog: Catalog) -> None:
    path = write(
        tmp_path / "bad.parquet",
        {"call": 5, "time": 50},
        {"call": 3, "time": 30, "account": None},
        {"call": 4, "time": 40, "account": ""},
        {"call": 5, "time": 50},
        {"call": 1, "time": 10, "items": [101, 999], "answer": [999, 103, 104]},
        {"call": 6, "time": 60, "parent": 2, "items": [105]},
        {"call": 7, "time": 70, "parent": 5, "items": [106]},
    )
    log = read_log(path, catalog)
    assert log.faults == (
        "queries without an account, left out: 2",
        "repeated calls, one of each kept: 1",
        "queries earlier than the one before them, now sorted: 1",
        "ids that the catalog lacks, left out: 2",
        "queries that extend one that the log lacks: 1",
    )
    assert log.calls.call.tolist() == [0, 1, 2, 3]
    assert log.calls.answers.tolist() == [[3, 4], [3, 4], [3, 4], [3, 4]]
    items, offsets = log.histories(np.arange(4))
    rows = [items[a:b].tolist() for a, b in pairwise(offsets)]
    assert rows == [[1], [1, 2], [5], [1, 2, 6]]


def test_two_columns_are_enough(tmp_path: Path, catalog: Catalog) -> None:
    path = tmp_path / "bare.parquet"
    pl.DataFrame({"account": ["a", "b", "a"], "items": [[101], [], [101, 120]]}).write_parquet(path)
    log = read_log(path, catalog)
    assert (len(log), log.lengths.tolist(), log.calls.answers.shape) == (3, [1, 0, 2], (3, 0))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"account": ["a"]}, "has no column for items"),
        ({"account": [None], "items": [[101]]}, "no query with an account"),
        (
            {"account": ["a"], "items": [101]},
            "'items' is of type Int64, expected lists",
        ),
    ],
)
def test_what_is_no_log(
    tmp_path: Path, catalog: Catalog, frame: dict[str, list[object]], words: str
) -> None:
    pl.DataFrame(frame).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=words):
        read_log(tmp_path / "x.parquet", catalog)


def test_no_file_and_a_broken_file(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(DataError, match="holds no query log"):
        read_log(tmp_path / "absent", catalog)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match="cannot read"):
        read_log(tmp_path / "broken.parquet", catalog)


def test_selected_rows_carry_whole_histories(log: QueryLog) -> None:
    part = log.select(np.array([3, 6]), accounts=["x", "y"])
    assert part.calls.account == ["x", "y"]
    np.testing.assert_array_equal(part.lengths, log.lengths[[3, 6]])
    np.testing.assert_array_equal(
        part.histories(np.arange(2))[0], log.histories(np.array([3, 6]))[0]
    )

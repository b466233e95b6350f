"""The user's own files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from recsec.data.sources.own import read_own
from recsec.errors import ConfigError, DataError


def test_usual_column_names_are_found(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("timestamp,movieId,userId,rating,other\n60,5,1,4.5,x\n120,6,1,3,y\n")
    assert read_own(path).rows.rows() == [(1, 5, 4.5, 60), (1, 6, 3.0, 120)]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_columns_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log{suffix}"
    table = pl.DataFrame({"who": ["ann", "bob"], "what": ["é1", "x2"], "when": [60, 120]})
    if suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    raw = read_own(path, columns={"user": "who", "item": "what", "time": "when"})
    assert raw.rows.rows() == [("ann", "é1", None, 60), ("bob", "x2", None, 120)]


def test_ids_with_leading_zeros_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item\n1,007\n1,7\n")
    assert read_own(path).rows["item"].to_list() == ["007", "7"]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1700000000", 1_700_000_000),
        ("1700000000.75", 1_700_000_000),
        ("1700000000123", 1_700_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000),
        ("2023-11-14 22:13:20", 1_700_000_000),
        ("2023-11-14", 1_699_920_000),
    ],
)
def test_times_in_usual_forms(tmp_path: Path, written: str, seconds: int) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"user,item,time\n1,2,{written}\n")
    assert read_own(path).rows["time"].to_list() == [seconds]


def test_dates_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    when = [datetime(2023, 11, 14, 22, 13, 20)]
    pl.DataFrame({"user": [1], "item": [2], "date": when}).write_parquet(path)
    assert read_own(path).rows["time"].to_list() == [1_700_000_000]


def test_times_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,time\n1,2,yesterday\n")
    with pytest.raises(DataError, match="line 2, column 'time': found 'yesterday'"):
        read_own(path)


def test_sequence_files_are_recognized(tmp_path: Path) -> None:
    path = tmp_path / "Toys.txt"
    path.write_text("1 5 6\n")
    assert read_own(path).rows["item"].to_list() == [5, 6]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.csv", b"", "is empty"),
        ("log.csv", b"user,item\n", "is empty"),
        ("log.csv", b"who,item\n1,2\n", "has no column for user"),
        ("log.csv", b"user,item\n1,2\n3\n", "line 3: found 1 field in '3'"),
        ("log.csv", "user,item\n1,é\n".encode("latin-1"), "UTF-8"),
        ("log.csv", "user,item\n1,2\n".encode("utf-16-le"), "encoding"),
        ("log.parquet", b"not parquet", "cannot read"),
        ("log.json", b"{}", "cannot tell the format"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_own(path)
    assert said in caught.value.message
    assert name in caught.value.message


def test_an_empty_cell_in_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame({"user": [1, 2, None], "item": [1, 2, 3]}).write_parquet(path)
    with pytest.raises(DataError, match="row 3, column 'user': found nothing"):
        read_own(path)


def test_wrong_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown columns"):
        read_own(tmp_path / "log.csv", columns={"account": "a"})
    with pytest.raises(DataError, match="there is no file"):
        read_own(tmp_path / "log.csv")


def test_atomic_files_of_recbole_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "shop.inter"
    path.write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t5\t4\t60\n")
    assert read_own(path).rows.rows() == [(1, 5, 4.0, 60)]
    path.write_text("who:token\twhat:token\n1\t5\n")
    raw = read_own(path, columns={"user": "who", "item": "what:token"})
    assert raw.rows.rows() == [(1, 5, None, None)]

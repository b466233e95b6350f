"""One table, written in every dialect, is read as one result."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsec.data.sources.tables import Dialect, Field, read_table
from recsec.errors import ConfigError, DataError

FIELDS = {
    "user": Field("id"),
    "item": Field("id"),
    "rating": Field("number", needed=False, filled=False),
    "time": Field("time", needed=False),
}
HEADER = ("user", "note", "item", "rating", "time")
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 99)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).filter(
    lambda word: word.strip("\"'") == word and word not in ("", "NA")
)
TEXTS = st.one_of(
    WORDS.map("a{}".format),
    st.sampled_from(["007", "-0", "1e3", "1.5", "12345678901234567890123", "a,b", "x;y", "é"]),
)
SECONDS = st.integers(0, 4 * 10**9)
NOTES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=12)

Row = tuple[int | str, str, int | str, float | None, int]


@dataclass(frozen=True)
class Written:
    """How a table is put into bytes."""

    sep: str = ","
    encoding: str = "utf-8"
    end: str = "\n"
    quoting: int = csv.QUOTE_MINIMAL
    last: bool = True
    blank: bool = False
    missing: str = ""
    time: str = "s"

    def moment(self, seconds: int) -> str:
        if self.time in ("ms", "us", "ns"):
            return str(seconds * {"ms": 10**3, "us": 10**6, "ns": 10**9}[self.time])
        when = datetime.fromtimestamp(seconds, UTC)
        forms = {
            "s": str(seconds),
            "float": f"{seconds}.5",
            "iso": when.strftime("%Y-%m-%dT%H:%M:%S"),
            "space": when.strftime("%Y-%m-%d %H:%M:%S.250"),
            "zulu": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "zone": datetime.fromtimestamp(seconds + 7200, UTC).strftime("%Y-%m-%d %H:%M:%S+02:00"),
        }
        return forms[self.time]

    def write(self, rows: list[Row]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(
            text,
            delimiter=self.sep,
            lineterminator=self.end,
            quoting=self.quoting,  # type: ignore[arg-type]
        )
        writer.writerow(HEADER)
        for user, note, item, rating, time in rows:
            shown = self.missing if rating is None else rating
            writer.writerow([user, note, item, shown, self.moment(time)])
            if self.blank:
                text.write(self.end)
        whole = text.getvalue()
        return (whole if self.last else whole.removesuffix(self.end)).encode(self.encoding)


WRITTEN = st.builds(
    Written,
    sep=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    last=st.booleans(),
    blank=st.booleans(),
    missing=st.sampled_from(["", "null", "NULL", "NaN", "nan", "None", "\\N", "NA", "<NA>"]),
    time=st.sampled_from(["s", "ms", "us", "ns", "float", "iso", "space", "zulu", "zone"]),
)


def tables() -> st.SearchStrategy[list[Row]]:
    rating = st.none() | st.integers(0, 50).map(lambda tenth: tenth / 10)

    def rows(ids: tuple[st.SearchStrategy[int | str], st.SearchStrategy[int | str]]):  # type: ignore[no-untyped-def]
        # One late time keeps every unit recognizable.
        times = SECONDS.map(lambda seconds: seconds + 200_000_000)
        return st.lists(st.tuples(ids[0], NOTES, ids[1], rating, times), min_size=1, max_size=12)

    kinds = [NUMBERS, TEXTS]
    return st.sampled_from([(a, b) for a in kinds for b in kinds]).flatmap(rows)


def expected(rows: list[Row], *, typed: bool) -> list[tuple[object, ...]]:
    """Ids are numbers where all of a column are; in text ``007`` and beyond 64 bits are none."""

    def column(ids: list[int | str]) -> list[int | str]:
        def number(one: int | str) -> bool:
            plain = str(one)
            return plain.lstrip("-").isdecimal() and plain.isascii() and str(int(plain)) == plain

        small = all(number(one) and -(2**63) <= int(one) < 2**63 for one in ids)
        return [int(one) for one in ids] if small and not typed else [*ids]

    users, items = column([row[0] for row in rows]), column([row[2] for row in rows])
    rest = [(row[3], row[4]) for row in rows]
    return [(u, i, *more) for u, i, more in zip(users, items, rest, strict=True)]


def found(data: bytes | Path, name: str) -> list[tuple[object, ...]]:
    table = read_table(data, FIELDS, name=name).rows
    return table.select("user", "item", "rating", "time").rows()


@given(tables(), WRITTEN)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@pytest.mark.hostile(kind="tables", what="dialects: separators, encodings, line ends, times, gaps")
def test_every_dialect_of_text(rows: list[Row], written: Written) -> None:
    assert found(written.write(rows), "t.csv") == expected(rows, typed=False)


@given(tables(), st.sampled_from(["s", "ms", "us", "ns", "iso", "datetime", "date"]))
@settings(max_examples=60, deadline=None)
def test_formats_with_types(rows: list[Row], form: str) -> None:
    frame = pl.DataFrame(rows, schema=list(HEADER), orient="row", infer_schema_length=None)
    want = expected(rows, typed=True)
    if form == "datetime":
        frame = frame.with_columns(pl.from_epoch("time", time_unit="s"))
    elif form == "date":
        frame = frame.with_columns(pl.from_epoch("time", time_unit="s").dt.date())
        want = [(*row[:3], row[3] // 86_400 * 86_400) for row in want]  # type: ignore[operator]
    else:
        moments = [Written(time=form).moment(row[4]) for row in rows]
        frame = frame.with_columns(
            pl.Series("time", moments if form == "iso" else [int(one) for one in moments])
        )
    parquet, lines = io.BytesIO(), io.BytesIO()
    frame.write_parquet(parquet)
    frame.write_ndjson(lines)
    assert found(parquet.getvalue(), "t.parquet") == want
    assert found(lines.getvalue(), "t.jsonl") == want


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_folder_of_parts_is_one_table(tmp_path: Path, suffix: str) -> None:
    whole = pl.DataFrame({"user": [1, 2, 3, 4], "item": ["a", "b", "c", "d"], "time": [1, 2, 3, 4]})
    for number, part in enumerate((whole[:1], whole[1:3], whole[3:])):
        path = tmp_path / "log" / f"part-{number}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        write = {"csv": part.write_csv, "jsonl": part.write_ndjson, "parquet": part.write_parquet}
        write[suffix](path)
    (tmp_path / "log" / "_SUCCESS").touch()
    assert found_rows(tmp_path / "log") == whole.rows()


def found_rows(path: Path) -> list[tuple[object, ...]]:
    return read_table(path, FIELDS).rows.rows()


def test_parts_of_several_integer_types_stay_exact(tmp_path: Path) -> None:
    big = 2**63 + 1
    for name, users, kind in (("a", [-1], pl.Int64), ("b", [big], pl.UInt64)):
        frame = pl.DataFrame({"user": pl.Series(users, dtype=kind), "item": [2**53 + 1]})
        frame.write_parquet(tmp_path / f"{name}.parquet")
    assert found_rows(tmp_path) == [("-1", 2**53 + 1), (str(big), 2**53 + 1)]


def test_parts_that_do_not_fit_together(tmp_path: Path) -> None:
    pl.DataFrame({"user": [1], "item": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"user": ["x"], "item": [1]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"'user' is Int64 in .*a.parquet and String in .*b.parq"):
        read_table(tmp_path, FIELDS)
    (tmp_path / "c.csv").write_text("user,item\n1,2\n")
    with pytest.raises(DataError, match="expected files of one kind"):
        read_table(tmp_path, FIELDS)


def test_the_user_says_the_separator() -> None:
    data = b"user:item\n1:2\n"
    assert read_table(data, FIELDS, name="t.csv", dialect=Dialect(sep=":")).rows.rows() == [(1, 2)]


@pytest.mark.parametrize("word", ["", "ab", "a", '"', "\n", "é"])
def test_a_separator_that_is_none(word: str) -> None:
    with pytest.raises(ValueError, match="one character"):
        Dialect(sep=word)


@pytest.mark.parametrize("form", ["h", "%H:%M", "seconds"])
def test_a_time_format_that_is_none(form: str) -> None:
    with pytest.raises(ValueError, match="pattern such as"):
        Dialect(time_format=form)


def test_a_name_that_is_not_ours() -> None:
    with pytest.raises(ConfigError, match="unknown columns"):
        read_table(b"user,item\n1,2\n", FIELDS, name="t.csv", columns={"account": "user"})


def test_lists_come_back_from_every_format(tmp_path: Path) -> None:
    from recsec.data.sources.tables import write_table

    table = pl.DataFrame({"items": [[1, 2], [], [3]], "names": [["a,b", 'c"d'], ["é"], []]})
    fields = {"items": Field("ids", filled=False), "names": Field("ids", filled=False)}
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
        path = tmp_path / f"t{suffix}"
        write_table(path, table)
        assert read_table(path, fields).rows.rows() == table.rows(), suffix
    with pytest.raises(ConfigError, match="cannot write"):
        write_table(tmp_path / "t.xlsx", table)
    path.with_suffix(".csv").write_text("items,names\n1 2,a b\n,\n3,c\n")
    spaced = read_table(path.with_suffix(".csv"), fields).rows
    assert spaced["items"].to_list() == [[1, 2], [3]]
    assert json.dumps(spaced["names"].to_list()) == '[["a", "b"], ["c"]]'

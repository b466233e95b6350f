"""Separated text: the fast reader against plain Python, and the broken line named."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsec.data.sources.delimited import read_delimited
from recsec.data.sources.tables.encoding import decode
from recsec.errors import DataError

SCHEMA = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float32, "time": pl.Int64}
ROWS = st.tuples(
    st.integers(-(2**62), 2**62), st.integers(0, 9), st.integers(0, 5), st.integers(0, 2**40)
)


@given(st.lists(ROWS, min_size=1, max_size=20), st.sampled_from(["::", "\t", "|"]))
@settings(max_examples=30)
def test_equals_a_line_by_line_reader(rows: list[tuple[int, ...]], separator: str) -> None:
    text = "".join(separator.join(map(str, row)) + "\n" for row in rows)
    table = read_delimited(text.encode(), name="t", separator=separator, schema=SCHEMA)
    plain = [tuple(float(field) for field in line.split(separator)) for line in text.splitlines()]
    assert [tuple(map(float, row)) for row in table.iter_rows()] == plain
    assert table.columns == list(SCHEMA)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("1::2::3", "too few fields"),
        ("1::2::3::4::5", "too many fields"),
        ("1::two::3::4", "a word for a number"),
        ("1::2::::4", "an empty field"),
        ("1:2:3:4", "another separator"),
        ("1::2.5::3::4", "half an item"),
    ],
)
@pytest.mark.parametrize("place", [0, 3])
def test_a_malformed_line_is_named(line: str, why: str, place: int) -> None:
    lines = ["1::2::3::4"] * 6
    lines[place] = line
    text = "\n".join(lines).encode()
    with pytest.raises(DataError) as caught:
        read_delimited(text, name="a.zip:ratings.dat", separator="::", schema=SCHEMA)
    assert caught.value.message.startswith(f"a.zip:ratings.dat, line {place + 1}: found {line!r}")
    assert "user::item::rating::time" in caught.value.message, why


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_blank_lines_and_line_ends_do_not_matter(ending: str) -> None:
    text = ending.join(["1::2::3::4", "", "5::6::1::8", "", ""]).encode()
    table = read_delimited(text, name="t", separator="::", schema=SCHEMA)
    assert table["user"].to_list() == [1, 5]


@pytest.mark.parametrize("text", [b"", b"\n", b"\n\n\n"])
def test_an_empty_text(text: bytes) -> None:
    with pytest.raises(DataError, match="t is empty"):
        read_delimited(text, name="t", separator="::", schema=SCHEMA)


def test_an_unknown_encoding() -> None:
    text = "1::2::3::4\n".encode("utf-16")
    with pytest.raises(DataError, match="unknown encoding"):
        read_delimited(text, name="t", separator="::", schema=SCHEMA)
    with pytest.raises(DataError, match="unknown encoding"):
        decode(text, name="t")


def test_latin1_and_utf8_titles_are_told_apart() -> None:
    assert decode("Café".encode("latin-1"), name="t") == "Café"
    assert decode("Café".encode(), name="t") == "Café"
    assert decode("\ufeffCafé".encode(), name="t") == "Café"

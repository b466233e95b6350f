"""Columns of ids: numbers if all are, else text, and never through floating point."""

from __future__ import annotations

import polars as pl

from recsec.data.sources.tables.kinds.missing import without_missing
from recsec.data.sources.tables.kinds.values import Values, as_text, wrong_type

__all__ = ["EXACT", "id_lists", "ids"]

EXACT = 2**53
"""From here on a float no longer holds every whole number."""
WHOLE = r"^(0|-?[1-9]\d*)$"
"""``007`` and ``-0`` are text, or they would become 7 and 0."""
EXPECTED = "an id"


def ids(column: pl.Series, *, typed: bool) -> Values:
    """Int64 where every id is a whole number of 64 bits; else String.

    Text stays text where the format says types. In text without types, whole numbers are numbers,
    ``1.0`` in all rows (how pandas writes a column with gaps) is 1, and ``NA`` among numbers is
    a missing value, while among other text it is an id.

    Raises:
        DataError: the type of the column cannot hold ids.
    """
    kind = column.dtype
    if kind == pl.Null:
        return Values(column.cast(pl.Int64), EXPECTED)
    if kind.is_integer() or kind.is_decimal():
        number = column.cast(pl.Int64, strict=False)
        text = column.cast(pl.String)
        if kind.is_integer() and number.null_count() == column.null_count():
            return Values(number, EXPECTED)
        return ids(text.str.replace(r"\.0+$", ""), typed=False)
    if kind.is_float():
        return _from_floats(column.cast(pl.Float64))
    if kind in (pl.Categorical, pl.Enum) or kind == pl.Binary:
        text = as_text(column)
        bad = text.is_null() & column.is_not_null()
        return ids(text, typed=True).refusing(bad, "text in UTF-8")
    if kind != pl.String:
        raise wrong_type(column, "whole numbers or text")
    return Values(without_missing(column), EXPECTED) if typed else _from_text(column)


def id_lists(column: pl.Series, *, typed: bool) -> Values:
    """Lists of ids. In text they are JSON arrays, or ids with blanks, ``|`` or ``,`` between.

    Raises:
        DataError: the type of the column cannot hold lists of ids.
    """
    expected = "a list of ids"
    kind = column.dtype
    if kind == pl.Null:
        return Values(column.cast(pl.List(pl.Int64)), expected)
    if kind == pl.String:
        column, typed = _split(without_missing(column)), False
    elif isinstance(kind, pl.Array):
        column = column.arr.to_list()
    elif not isinstance(kind, pl.List):
        raise wrong_type(column, "lists of ids")
    if isinstance(column.dtype, pl.List) and column.dtype.inner in (pl.Int64, pl.String) and typed:
        return Values(column, expected)
    lengths = column.list.len().fill_null(0)
    rows = pl.int_range(column.len(), eager=True).repeat_by(lengths).explode().drop_nulls()
    flat = column.filter(lengths > 0).explode().alias(column.name)
    found = ids(flat, typed=typed)
    lists = pl.DataFrame({"row": rows, "id": found.values}).group_by("row").agg("id")
    every = pl.DataFrame({"row": pl.int_range(column.len(), eager=True)})
    joined = every.join(lists, on="row", how="left", maintain_order="left")["id"]
    empty = pl.Series([[]], dtype=joined.dtype)
    values = pl.select(
        pl.when(column.is_null()).then(None).otherwise(joined.fill_null(empty))
    ).to_series()
    if found.bad is None:
        return Values(values, expected)
    bad = pl.int_range(column.len(), eager=True).is_in(rows.filter(found.bad).unique())
    return Values(values, expected, bad)


def _split(text: pl.Series) -> pl.Series:
    """Lists of words, from JSON where all of the column is that."""
    floats = text.str.contains(r"\d{16,}\.").any()  # which a parser of JSON would round
    if text.drop_nulls().str.starts_with("[").all() and not floats:
        try:
            return text.str.json_decode(pl.List(pl.String))
        except pl.exceptions.PolarsError:
            pass  # such as [1 2], as numpy prints it
    plain = text.str.strip_chars("[]() ").str.replace_all(r"[\s,;|]+", " ")
    words = plain.str.split(" ").list.eval(pl.element().str.strip_chars("\"'"))
    return words.list.eval(pl.element().filter(pl.element() != ""))


def _from_text(column: pl.Series) -> Values:
    number = column.cast(pl.Int64, strict=False)
    if number.null_count() == 0 and column.str.len_bytes().sum() == _digits(number):
        return Values(number, EXPECTED)  # nothing was written longer, such as 007, -0 or +5
    text = without_missing(column)
    known = text.drop_nulls()
    names = known.filter(known != "NA")
    if len(names) and (names.str.contains(WHOLE).all() or _gaps(names)):
        text = text.set(text == "NA", None)
        shorter = text.str.strip_suffix(".0") if _gaps(names) else text
        number = shorter.cast(pl.Int64, strict=False)
        return Values(number if number.null_count() == text.null_count() else shorter, EXPECTED)
    return Values(text, EXPECTED)


def _digits(number: pl.Series) -> int:
    """Characters of all numbers as they are usually written, together."""
    size = number.abs()
    count = len(number) + int((number < 0).sum())
    for power in range(1, 19):
        longer = int((size >= 10**power).sum())
        if not longer:
            break
        count += longer
    return count


def _gaps(names: pl.Series) -> bool:
    """Whether all are whole numbers with ``.0`` behind, as a column of floats is written."""
    return bool(names.str.contains(r"^(0|-?[1-9]\d*)\.0$").all())


def _from_floats(column: pl.Series) -> Values:
    known = column.fill_nan(None)
    bad = ~(known.is_finite() & (known == known.round()) & (known.abs() < EXACT))
    values = known.set(bad.fill_null(False), None).cast(pl.Int64)
    expected = "an id: in a column of floats a whole number below 2**53, beyond which digits differ"
    return Values(values, EXPECTED).refusing(bad.fill_null(False), expected)

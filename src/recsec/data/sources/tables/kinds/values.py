"""A column after conversion, and the plain kinds: numbers, whole numbers, text."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from recsec.data.sources.tables.kinds.missing import without_missing
from recsec.errors import DataError

__all__ = ["Values", "as_text", "numbers", "texts", "whole_numbers", "wrong_type"]


@dataclass(frozen=True, eq=False)
class Values:
    """A converted column.

    Attributes:
        values: null where there was no value, and where it does not fit.
        expected: what fits, for errors.
        bad: rows with a value that does not fit; None if all do.
        hint: for errors.
    """

    values: pl.Series
    expected: str
    bad: pl.Series | None = None
    hint: str | None = None

    def refusing(self, bad: pl.Series, expected: str) -> Values:
        """The same, with more rows that do not fit."""
        if not bad.any():
            return self
        both = bad if self.bad is None else bad | self.bad
        return Values(self.values, expected, both, self.hint)


def as_text(column: pl.Series) -> pl.Series:
    """String; null where bytes are not UTF-8."""
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:
        whole = column.to_list()
        kept = [one if isinstance(one, bytes) and _is_utf8(one) else None for one in whole]
        return pl.Series(column.name, kept, dtype=pl.Binary).cast(pl.String)


def _is_utf8(one: bytes) -> bool:
    try:
        one.decode()
    except UnicodeDecodeError:
        return False
    return True


def wrong_type(column: pl.Series, expected: str) -> DataError:
    """The error for a column whose type cannot hold what is expected."""
    return DataError(f"column {column.name!r} is of type {column.dtype}, expected {expected}")


def numbers(column: pl.Series, *, comma: bool = False) -> Values:
    """Float64, finite.

    Args:
        column: numbers, or text of numbers.
        comma: whether text may have a comma for the decimal point, where it separates no fields.

    Raises:
        DataError: the type of the column cannot hold numbers.
    """
    if column.dtype == pl.String:
        found = column.cast(pl.Float64, strict=False)
        if found.null_count() == 0 and found.is_finite().all():
            return Values(found, "a number")
        column = without_missing(column)
        column = column.set(column == "NA", None)
    elif not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise wrong_type(column, "numbers")
    found = column.cast(pl.Float64, strict=False)
    if comma and column.dtype == pl.String and found.null_count() > column.null_count():
        found = column.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    elif column.dtype != pl.String:
        found = column = found.fill_nan(None)
    bad = column.is_not_null() & ~found.is_finite().fill_null(False)
    return Values(found.set(bad, None), "a number").refusing(bad, "a number")


def whole_numbers(column: pl.Series) -> Values:
    """Int64.

    Raises:
        DataError: the type of the column cannot hold numbers.
    """
    expected = "a whole number"
    if column.dtype == pl.String:
        exact = column.cast(pl.Int64, strict=False)
        if exact.null_count() == 0:
            return Values(exact, expected)
        column = without_missing(column)
        column = column.set(column == "NA", None)
        exact = column.str.strip_suffix(".0").cast(pl.Int64, strict=False)
        bad = column.is_not_null() & exact.is_null()
        return Values(exact, expected).refusing(bad, expected)
    if column.dtype.is_integer():
        exact = column.cast(pl.Int64, strict=False)
        bad = column.is_not_null() & exact.is_null()
        return Values(exact, expected).refusing(bad, expected)
    found = numbers(column)
    bad = found.values != found.values.round()
    whole = found.values.cast(pl.Int64, strict=False)
    more = bad.fill_null(False) | (whole.is_null() & found.values.is_not_null())
    return Values(whole, expected, found.bad).refusing(more, expected)


def texts(column: pl.Series) -> Values:
    """String; numbers as they are written.

    Raises:
        DataError: the column holds lists or records.
    """
    if column.dtype.is_nested() or column.dtype == pl.Object:
        raise wrong_type(column, "text")
    text = as_text(column)
    bad = text.is_null() & column.is_not_null()
    return Values(without_missing(text), "text").refusing(bad, "text in UTF-8")

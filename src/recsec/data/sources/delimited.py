"""Publishers' tables without a header: columns and types are known, the separator may be doubled.

Tables of users have names and any dialect: ``recsec.data.sources.tables``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import zip_longest

import polars as pl
from polars._typing import PolarsDataType

from recsec.data.sources.tables.encoding import is_binary, unknown_encoding
from recsec.errors import DataError

__all__ = ["read_delimited"]


def read_delimited(
    data: bytes, *, name: str, separator: str, schema: Mapping[str, PolarsDataType]
) -> pl.DataFrame:
    """Read the columns of ``schema``; every line but blank ones must have a value in each.

    A separator of two equal characters (``::``) is read as one with empty columns in between,
    which is as fast as a plain one and needs no second copy of the text.

    Args:
        data: the text.
        name: what to call it in errors.
        separator: one character, or the same one twice.
        schema: column names and types (Int64, Float32, Float64 or String).

    Raises:
        DataError: empty, an unknown encoding, or a malformed line (named).
    """
    fillers = [f"between {place}" for place in range(1, len(schema)) if len(separator) == 2]
    names = [one for pair in zip_longest(schema, fillers) for one in pair if one is not None]
    try:
        table = pl.read_csv(
            io.BytesIO(data),
            separator=separator[0],
            has_header=False,
            quote_char=None,
            schema={name: schema.get(name, pl.String) for name in names},
        )
    except pl.exceptions.PolarsError as error:
        reason = _explain(data, name, separator, schema)
        raise reason or DataError(f"{name} cannot be read: {error}") from error
    if any(table[column].null_count() for column in schema):
        table = table.filter(~pl.all_horizontal(pl.all().is_null()))
    empty = sum(table[column].null_count() for column in schema)
    filled = sum(table.height - table[column].null_count() for column in fillers)
    if empty or filled:
        reason = _explain(data, name, separator, schema)
        raise reason or DataError(f"{name} has {empty:,} empty fields")
    if table.height == 0:
        raise _explain(data, name, separator, schema) or DataError(f"{name} is empty")
    return table.drop(fillers)


def _explain(
    data: bytes, name: str, separator: str, schema: Mapping[str, PolarsDataType]
) -> DataError | None:
    """Walk to the first line that does not fit. Slow, and only for broken files."""
    if is_binary(data):
        return unknown_encoding(name)
    if not data[:4096].strip():
        return DataError(f"{name} is empty")
    lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", errors="replace", newline="")
    for number, text in enumerate(lines, start=1):
        line = text.rstrip("\r\n")
        fields = line.split(separator)
        fits = len(fields) == len(schema)
        fits = fits and all(map(_reads_as, fields, schema.values()))
        if line.strip() and not fits:
            return DataError(
                f"{name}, line {number}: found {line[:80]!r}, expected "
                f"{separator.join(schema)} ({_types(schema)})",
                hint="repair or delete the line",
            )
    return None


def _reads_as(field: str, kind: PolarsDataType) -> bool:
    """Whether a field has a value of this type."""
    if kind == pl.String:
        return field != ""
    try:
        int(field) if kind == pl.Int64 else float(field)
    except ValueError:
        return False
    return True


def _types(schema: Mapping[str, PolarsDataType]) -> str:
    words = {pl.Int64: "whole number", pl.String: "text"}
    return ", ".join(f"{name}: {words.get(kind, 'number')}" for name, kind in schema.items())  # type: ignore[call-overload]

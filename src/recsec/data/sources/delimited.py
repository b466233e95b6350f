"""Tables of separated text, read fast, and the first broken line named when they are not whole."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TextIO

import polars as pl
from polars._typing import PolarsDataType

from recsec.errors import DataError

__all__ = ["decode", "is_binary", "read_delimited", "unknown_encoding"]


def decode(data: bytes, *, name: str) -> str:
    """Text in UTF-8, or else Latin-1 (in which MovieLens writes its titles).

    Latin-1 text with an accent is practically never valid UTF-8, so the order decides rightly.

    Raises:
        DataError: neither: the text holds zero bytes, as UTF-16 does.
    """
    if is_binary(data):
        raise unknown_encoding(name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_delimited(
    data: bytes | Path,
    *,
    name: str,
    separator: str,
    schema: Mapping[str, PolarsDataType],
    header: bool = False,
) -> pl.DataFrame:
    """Read the columns of ``schema``; every line but blank ones must have a value in each.

    A separator of two equal characters (``::``) is read as one with empty columns in between,
    which is as fast as a plain one and needs no second copy of the text.

    Args:
        data: the text, or a file of it.
        name: what to call it in errors.
        separator: one character, or the same one twice.
        schema: column names and types (Int64, Float32, Float64 or String); with a header, the
            columns to take from it.
        header: whether the first line names the columns; such text may quote fields, and surplus
            fields at the end of a line go unnoticed if the file has columns that are not read.

    Raises:
        DataError: empty, a column missing, an unknown encoding, or a malformed line (named).
    """
    fillers = [f"between {place}" for place in range(1, len(schema)) if len(separator) == 2]
    try:
        if header:
            have = pl.read_csv(_source(data), separator=separator, n_rows=0).columns
            table = pl.read_csv(
                _source(data),
                separator=separator,
                columns=None if set(have) == set(schema) else list(schema),
                schema_overrides=dict(schema),
            )
        else:
            pairs = zip_longest(schema, fillers)
            names = [name for pair in pairs for name in pair if name is not None]
            table = pl.read_csv(
                _source(data),
                separator=separator[0],
                has_header=False,
                quote_char=None,
                schema={name: schema.get(name, pl.String) for name in names},
            )
    except pl.exceptions.PolarsError as error:
        reason = _explain(data, name, separator, schema, header=header)
        raise reason or DataError(f"{name} cannot be read: {error}") from error
    if any(table[column].null_count() for column in schema):
        table = table.filter(~pl.all_horizontal(pl.all().is_null()))
    empty = sum(table[column].null_count() for column in schema)
    filled = sum(table.height - table[column].null_count() for column in fillers)
    if empty or filled:
        reason = _explain(data, name, separator, schema, header=header)
        raise reason or DataError(f"{name} has {empty:,} empty fields")
    if table.height == 0:
        raise _explain(data, name, separator, schema, header=header) or DataError(
            f"{name} is empty"
        )
    return table.drop(fillers)


def _explain(
    data: bytes | Path,
    name: str,
    separator: str,
    schema: Mapping[str, PolarsDataType],
    *,
    header: bool,
) -> DataError | None:
    """Walk to the first line that does not fit. Slow, and only for broken files."""
    start = data[:4096] if isinstance(data, bytes) else _start(data)
    if is_binary(start):
        return unknown_encoding(name)
    if not start.strip():
        return DataError(f"{name} is empty")
    with _text(data) as file:
        columns = list(schema)
        for number, line, fields in _records(file, separator, quoted=header):
            if header and number == 1:
                columns = fields
                missing = [column for column in schema if column not in columns]
                if missing:
                    return DataError(
                        f"{name} has no column {missing[0]!r}; its columns are {', '.join(columns)}"
                    )
                continue
            values = dict(zip(columns, fields, strict=False))
            fits = len(fields) == len(columns)
            fits = fits and all(_reads_as(values[key], kind) for key, kind in schema.items())
            if line.strip() and not fits:
                return DataError(
                    f"{name}, line {number}: found {line[:80]!r}, expected "
                    f"{separator.join(columns)} ({_types(schema)})",
                    hint="repair or delete the line",
                )
            if "\ufffd" in line and header:
                return DataError(
                    f"{name}, line {number}: found {line[:80]!r}, which is not UTF-8",
                    hint=f"convert the file: iconv -f LATIN1 -t UTF-8 {name}",
                )
    return None


def _source(data: bytes | Path) -> io.BytesIO | Path:
    return io.BytesIO(data) if isinstance(data, bytes) else data


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def _text(data: bytes | Path) -> TextIO:
    """Text in which bytes that are not UTF-8 are replaced; to be closed."""
    binary = io.BytesIO(data) if isinstance(data, bytes) else data.open("rb")
    return io.TextIOWrapper(binary, encoding="utf-8-sig", errors="replace", newline="")


def _records(text: TextIO, separator: str, *, quoted: bool) -> Iterator[tuple[int, str, list[str]]]:
    """Number, text and fields of each line (of its last line where a quoted field has several)."""
    if quoted:
        reader = csv.reader(text, delimiter=separator)
        for fields in reader:
            yield reader.line_num, separator.join(fields), fields
    else:
        for number, line in enumerate(text, start=1):
            stripped = line.rstrip("\r\n")
            yield number, stripped, stripped.split(separator)


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


def is_binary(data: bytes) -> bool:
    """Zero bytes do not occur in UTF-8 or Latin-1 text; UTF-16 is full of them."""
    return b"\0" in data[:4096] or data[:2] in (b"\xff\xfe", b"\xfe\xff")


def unknown_encoding(name: str) -> DataError:
    """The error for text that is in no encoding we read."""
    return DataError(
        f"{name} is in an unknown encoding, neither UTF-8 nor Latin-1",
        hint=f"convert it: iconv -f UTF-16 -t UTF-8 {name}",
    )

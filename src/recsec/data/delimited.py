"""Tables of separated text, read fast, and the first broken line named when they are not whole."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType

from recsec.errors import DataError

__all__ = ["decode", "read_delimited"]


def decode(data: bytes, *, name: str) -> str:
    """Text in UTF-8, or else Latin-1 (in which MovieLens writes its titles).

    Latin-1 text with an accent is practically never valid UTF-8, so the order decides rightly.

    Raises:
        DataError: neither: the text holds zero bytes, as UTF-16 does.
    """
    if b"\0" in data[:4096] or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _unknown_encoding(name)
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
    """Read the columns of ``schema``; every one of them must be there in every line.

    A separator of two equal characters (``::``) is read as one with empty columns in between,
    which is as fast as a plain one and needs no second copy of the text.

    Args:
        data: the text, or a file of it.
        name: what to call it in errors.
        separator: one character, or the same one twice.
        schema: column names and types; with a header, the columns to take from it.
        header: whether the first line names the columns.

    Raises:
        DataError: empty, a column missing, an unknown encoding, or a malformed line (named).
    """
    fillers = [f"_{place}" for place in range(len(schema) - 1)] if len(separator) == 2 else []
    layout: dict[str, PolarsDataType] = {}
    for place, (column, kind) in enumerate(schema.items()):
        layout[column] = kind
        if place < len(fillers):
            layout[fillers[place]] = pl.String
    try:
        table = pl.read_csv(
            io.BytesIO(data) if isinstance(data, bytes) else data,
            separator=separator[0],
            has_header=header,
            quote_char='"' if header else None,
            low_memory=True,
            **(
                {"columns": list(schema), "schema_overrides": dict(schema)}
                if header
                else {"schema": layout}
            ),
        )
    except pl.exceptions.NoDataError as error:
        raise DataError(f"{name} is empty") from error
    except pl.exceptions.ColumnNotFoundError as error:
        first = _lines(data)[0].decode("utf-8", "replace")
        raise DataError(
            f"{name}: its columns are {first!r}, expected {', '.join(schema)}"
        ) from error
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise _explain(data, name, separator, schema, header) or DataError(
            f"{name} cannot be read: {error}"
        ) from error
    broken = sum(table[column].null_count() for column in schema)
    filled = sum(table.height - table[column].null_count() for column in fillers)
    if broken or filled:
        found = _explain(data, name, separator, schema, header)
        raise found or DataError(f"{name} has {broken} empty fields")
    if table.height == 0:
        raise DataError(f"{name} is empty")
    return table.drop(fillers)


def _lines(data: bytes | Path) -> list[bytes]:
    content = data if isinstance(data, bytes) else data.read_bytes()
    return content.splitlines()


def _unknown_encoding(name: str) -> DataError:
    return DataError(
        f"{name} is in an unknown encoding (neither UTF-8 nor Latin-1)",
        hint=f"convert it: iconv -f UTF-16 -t UTF-8 {name}",
    )


def _explain(
    data: bytes | Path,
    name: str,
    separator: str,
    schema: Mapping[str, PolarsDataType],
    header: bool,
) -> DataError | None:
    """Walk the lines to the first that does not fit. Slow, and only for broken files."""
    lines = _lines(data)
    if b"\0" in b"".join(lines[:50]):
        return _unknown_encoding(name)
    columns = list(schema)
    if header and lines:
        columns = lines[0].decode("utf-8", "replace").lstrip("\ufeff").split(separator)
    for number, line in enumerate(lines, start=1):
        if header and number == 1:
            continue
        text = line.decode("utf-8", "replace")
        fields = text.split(separator)
        fits = len(fields) == len(columns) or (header and '"' in text)
        for column, field in zip(columns, fields, strict=False):
            fits = fits and (column not in schema or _is(field, schema[column]))
        if not fits:
            return DataError(
                f"{name}, line {number}: found {text[:80]!r}, expected {separator.join(columns)}",
                hint="repair or delete the line",
            )
    return None


def _is(field: str, kind: PolarsDataType) -> bool:
    """Whether a field reads as a value of ``kind``."""
    if kind == pl.String:
        return field != ""
    try:
        int(field) if pl.Int64 == kind else float(field)
    except ValueError:
        return False
    return True

"""Tables whose format says the types: Parquet and JSON Lines."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsec.data.sources.tables.encoding import plain_utf8
from recsec.errors import DataError

__all__ = ["BROKEN", "Typed", "first_line", "open_json_lines", "open_parquet", "parquet_table"]

BROKEN = (OSError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What polars raises at damaged files; the last of them is no ``Exception``."""


@dataclass(frozen=True, eq=False)
class Typed:
    """A table with types.

    Attributes:
        name: the file, for errors.
        columns: their names.
        load: some columns by name.
        place: where a row stands, for errors.
        every: the format has a type for everything, times and missing values too.
    """

    name: str
    columns: tuple[str, ...]
    load: Callable[[list[str]], pl.DataFrame]
    place: Callable[[int], str]
    every: bool = False


def open_parquet(source: Path | bytes, *, name: str) -> Typed:
    """A Parquet file.

    Raises:
        DataError: it is empty or damaged; also later, when columns are loaded.
    """

    def read(names: list[str] | None) -> pl.DataFrame:
        try:
            file = source if isinstance(source, Path) else io.BytesIO(source)
            scan = pl.scan_parquet(file, glob=False)
            return (scan.limit(0) if names is None else scan.select(names)).collect()
        except BROKEN as error:
            raise DataError(f"cannot read {name}: {first_line(error)}") from error

    return Typed(name, tuple(read(None).columns), read, lambda row: f"row {row + 1:,}", every=True)


def parquet_table(path: Path) -> pl.DataFrame:
    """All of a Parquet file that recsec wrote.

    Raises:
        DataError: it is missing or damaged.
    """
    found = open_parquet(path, name=str(path))
    return found.load(list(found.columns))


def open_json_lines(source: bytes, *, name: str) -> Typed:
    """One JSON object a line; a key that a line lacks is a missing value. Blank lines count.

    Raises:
        DataError: empty, or a line that is no JSON object.
    """
    data = plain_utf8(source, name=name)
    if not data.strip():
        raise DataError(f"{name} is empty")
    rows = [number for number, line in enumerate(data.split(b"\n"), start=1) if line.strip()]
    try:
        table = pl.read_ndjson(io.BytesIO(data), infer_schema_length=None)
    except (*BROKEN, RecursionError) as error:
        raise _explain(data, name) or DataError(
            f"cannot read {name}: {first_line(error)}",
            hint="each column needs values of one type in all lines",
        ) from error
    return Typed(name, tuple(table.columns), table.select, lambda row: f"line {rows[row]}")


def first_line(error: BaseException) -> str:
    """What a library says, without the context that it appends."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _explain(data: bytes, name: str) -> DataError | None:
    """The first line that is no JSON object."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            fits = not line.strip() or isinstance(json.loads(line), dict)
        except (ValueError, RecursionError):
            fits = False
        if not fits:
            shown = line[:80].decode(errors="replace")
            return DataError(
                f"{name}, line {number}: found {shown!r}, expected one JSON object a line",
                hint="repair or delete the line",
            )
    return None

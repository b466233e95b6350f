"""The user's own files: CSV, Parquet, or S3-Rec sequences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType

from recsec.data.interactions import Raw
from recsec.data.sources.delimited import is_binary, read_delimited, unknown_encoding
from recsec.data.sources.s3rec import read_sequences
from recsec.errors import ConfigError, DataError

__all__ = ["read_own"]

USUAL_NAMES = {
    "user": ("user", "user_id", "userid", "userId"),
    "item": ("item", "item_id", "itemid", "itemId", "movieId"),
    "rating": ("rating", "score", "stars"),
    "time": ("time", "timestamp", "ts", "date"),
}
"""Tried in this order where ``--columns`` says nothing."""
SAMPLE = 2**19
"""Bytes from which the types of columns are told."""


def read_own(path: Path, *, columns: Mapping[str, str] | None = None) -> Raw:
    """Read a file by its suffix: ``.csv``, ``.tsv``, ``.parquet``, or ``.txt`` for S3-Rec.

    Args:
        path: the file.
        columns: our names (user, item, rating, time) to the file's; usual names are found alone.

    Raises:
        DataError: missing, empty, malformed, or without a user or item column.
        ConfigError: a key of ``columns`` that is not ours.
    """
    unknown = set(columns or {}) - set(USUAL_NAMES)
    if unknown:
        raise ConfigError(
            f"unknown columns {sorted(unknown)}; expected {', '.join(USUAL_NAMES)}",
            hint="--columns user=..,item=..,time=..,rating=..",
        )
    if not path.is_file():
        raise DataError(f"there is no file {path}", hint="recsec data list names the known sets")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return read_sequences(path.read_bytes(), name=str(path))
    if suffix == ".parquet":
        return _read_parquet(path, columns or {})
    if suffix in (".csv", ".tsv"):
        return _read_csv(path, columns or {}, separator="\t" if suffix == ".tsv" else ",")
    raise DataError(
        f"cannot tell the format of {path}; known are .csv, .tsv, .parquet and .txt (S3-Rec)",
        hint="for an archive of a known set: recsec data get NAME --from PATH",
    )


def _choose(path: Path, have: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    """The file's column for each of ours."""
    chosen = {}
    for ours, names in USUAL_NAMES.items():
        wanted = (columns[ours],) if ours in columns else names
        found = next((name for name in wanted if name in have), None)
        if found is None and (ours in columns or ours in ("user", "item")):
            raise DataError(
                f"{path} has no column for {ours} ({', '.join(wanted)}); it has: {', '.join(have)}",
                hint="--columns user=..,item=..,time=..,rating=..",
            )
        if found is not None:
            chosen[ours] = found
    return chosen


def _read_parquet(path: Path, columns: Mapping[str, str]) -> Raw:
    try:
        scan = pl.scan_parquet(path)
        chosen = _choose(path, scan.collect_schema().names(), columns)
        table = scan.select(pl.col(theirs).alias(ours) for ours, theirs in chosen.items()).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    for name in chosen:
        if table[name].null_count():
            row = int(table[name].is_null().arg_max() or 0)
            raise DataError(f"{path}, row {row + 1}: {chosen[name]} is empty")
    return Raw(_typed(path, table))


def _read_csv(path: Path, columns: Mapping[str, str], *, separator: str) -> Raw:
    sample = _sample(path, separator)
    chosen = _choose(path, sample.columns, columns)
    schema = {
        theirs: pl.Float32 if ours == "rating" else _kind(sample[theirs].drop_nulls())
        for ours, theirs in chosen.items()
    }
    table = read_delimited(path, name=str(path), separator=separator, schema=schema, header=True)
    return Raw(_typed(path, table.select(pl.col(old).alias(new) for new, old in chosen.items())))


def _sample(path: Path, separator: str) -> pl.DataFrame:
    """The first lines, all columns as text, whatever is broken in them."""
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    if is_binary(start):
        raise unknown_encoding(str(path))
    whole = start if len(start) < SAMPLE else start[: start.rfind(b"\n") + 1]
    text = whole.decode("utf-8-sig", errors="replace").encode()
    try:
        return pl.read_csv(
            text, separator=separator, infer_schema=False, truncate_ragged_lines=True
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _kind(sample: pl.Series) -> PolarsDataType:
    """Whole numbers if all look like it; ``007`` is text, or it would become 7."""
    if sample.str.contains(r"^-?(0|[1-9]\d*)$").all():
        return pl.Int64
    return pl.Float64 if sample.str.contains(r"^-?\d+\.\d*$").all() else pl.String


def _typed(path: Path, table: pl.DataFrame) -> pl.DataFrame:
    """Our types: ids as numbers or text, ratings as Float32, times as whole seconds."""
    try:
        for name in ("user", "item"):
            kind = pl.Int64 if table[name].dtype.is_integer() else pl.String
            table = table.with_columns(pl.col(name).cast(kind))
        rating = pl.col("rating") if "rating" in table.columns else pl.lit(None)
        time = _seconds(table["time"]) if "time" in table.columns else pl.lit(None, pl.Int64)
        return table.select(
            "user", "item", rating.cast(pl.Float32).alias("rating"), time.alias("time")
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path}: a column is of an unexpected type: {error}") from error


def _seconds(time: pl.Series) -> pl.Series:
    """Whole seconds since 1970 from numbers (milliseconds are recognized), dates or ISO text."""
    if time.dtype == pl.String:
        time = time.str.to_datetime()
    if time.dtype.is_temporal():
        return time.cast(pl.Datetime("us")).dt.epoch("s")
    seconds = time.cast(pl.Int64)
    return seconds // 1000 if (seconds.max() or 0) > 10**11 else seconds  # type: ignore[operator]

"""The user's own interactions: a table of any kind, or S3-Rec sequences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from recsec.data.interactions import Raw
from recsec.data.sources.s3rec import read_sequences
from recsec.data.sources.tables import Dialect, Field, read_table
from recsec.errors import ConfigError, DataError

__all__ = ["read_own"]

FIELDS = {
    "user": Field("id", ("user", "user_id", "userid", "userId")),
    "item": Field("id", ("item", "item_id", "itemid", "itemId", "movieId")),
    "rating": Field("number", ("rating", "score", "stars"), needed=False, filled=False),
    "time": Field("time", ("time", "timestamp", "ts", "date"), needed=False),
}
"""Usual names are tried in this order where ``--columns`` says nothing."""
HINT = "--columns user=..,item=..,time=..,rating=.."


def read_own(
    path: Path, *, columns: Mapping[str, str] | None = None, dialect: Dialect | None = None
) -> Raw:
    """Read a table (``recsec.data.sources.tables``), or a ``.txt`` of S3-Rec's sequences.

    Args:
        path: a file, or a folder of the parts of a table.
        columns: our names (user, item, rating, time) to the table's; usual names are found alone.
        dialect: what the user says about the table.

    Raises:
        DataError: missing, empty, malformed, or without a user or item column.
        ConfigError: a key of ``columns`` that is not ours.
    """
    unknown = set(columns or {}) - set(FIELDS)
    if unknown:
        raise ConfigError(
            f"unknown columns {sorted(unknown)}; expected {', '.join(FIELDS)}", hint=HINT
        )
    if path.suffix.lower() == ".txt" and not columns and (dialect is None or not dialect.sep):
        data = _content(path)
        if not _separated(data):
            return read_sequences(data, name=str(path))
    table = read_table(path, FIELDS, columns=columns, dialect=dialect, hint=HINT)
    unknown_kinds = {"rating": pl.Float32, "time": pl.Int64}
    filled = table.rows.with_columns(
        pl.lit(None, kind).alias(name)
        for name, kind in unknown_kinds.items()
        if name not in table.rows.columns
    )
    rows = filled.select("user", "item", pl.col("rating").cast(pl.Float32), "time")
    return Raw(rows, notes=table.notes)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _separated(data: bytes) -> bool:
    """Whether the first line has fields of a table rather than a user and items."""
    first = data[:4096].lstrip().split(b"\n")[0]
    return any(separator in first for separator in b",;\t|")

"""What people did, as a table: logs from which a click law and habits are measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from recsec.data.sources.archive import open_archive
from recsec.data.sources.cache import locate
from recsec.data.sources.known import KNOWN, KNOWN_LOGS, KnownData, is_path
from recsec.data.sources.layouts import read_known
from recsec.data.sources.tables import Dialect, Field, choose, open_table
from recsec.errors import ConfigError, DataError

__all__ = ["LOGS", "read_events"]

LOGS: dict[str, KnownData] = {"trivago": KNOWN_LOGS["trivago"], "yoochoose": KNOWN["yoochoose"]}
"""Public logs of sessions."""

FIELDS = {
    "user": Field("id", ("user", "account"), filled=False),
    "session": Field("id", needed=False, filled=False),
    "time": Field("time", needed=False, filled=False),
    "item": Field("id", filled=False),
    "shown": Field("ids", ("shown", "list", "impressions"), needed=False, filled=False),
    "device": Field("id", needed=False, filled=False),
}
COLUMNS: dict[str, pl.DataType] = {
    "user": pl.String(),
    "session": pl.String(),
    "time": pl.Int64(),
    "item": pl.String(),
    "shown": pl.List(pl.String()),
    "device": pl.String(),
}
TOUCHED = ("interaction item", "clickout item")


def read_events(
    name: str,
    *,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
) -> pl.DataFrame:
    """Events in the order of users, sessions and times.

    Args:
        name: a log of ``LOGS``, or the path of a table with ``user`` and ``item``, and with
            ``session``, ``time``, ``device`` and ``shown`` (the list from which the item was
            taken) where they are known.
        columns: our names to the table's.
        dialect: what the user says about the table.

    Returns:
        ``user``, ``session``, ``time``, ``item``, ``shown``, ``device``; null where unknown.

    Raises:
        DataError: missing or broken data.
        ConfigError: a name that is neither a known log nor a path.
    """
    if name in LOGS:
        table = _known(LOGS[name])
    else:
        path = Path(name)
        if not path.exists() and not is_path(name):
            raise ConfigError(
                f"no log called {name!r}; known: {', '.join(LOGS)}, or the path of a table",
                hint="recsec traffic fit --help",
            )
        opened = open_table(path, wanted=list(FIELDS), dialect=dialect)
        table = opened.read(FIELDS, choose(opened.name, opened.columns, FIELDS, columns or {})).rows
    given = [name for name in COLUMNS if name in table.columns]
    table = table.select(
        *(pl.col(name).cast(COLUMNS[name]) for name in given),
        *(pl.lit(None, COLUMNS[name]).alias(name) for name in COLUMNS if name not in given),
    ).select(list(COLUMNS))
    table = table.filter(pl.col("user").is_not_null() & pl.col("item").is_not_null())
    if table.height == 0:
        raise DataError(f"the log {name} holds no event of a user with an item")
    table = table.with_columns(pl.col("session").fill_null(pl.col("user")))
    return table.sort("user", "session", "time", maintain_order=True, nulls_last=True)


def _known(data: KnownData) -> pl.DataFrame:
    path = locate(data)
    if data.layout == "yoochoose":
        with open_archive(path) as archive:
            rows = read_known(archive, data).rows
        return rows.select("user", pl.col("user").alias("session"), "item", "time")
    try:
        table = pl.read_parquet(path)
        return (
            table.sort("user_id", "session_id", "timestamp", "step", maintain_order=True)
            .filter(pl.col("action_type").str.contains_any(list(TOUCHED)))
            .select(
                pl.col("user_id").alias("user"),
                pl.col("session_id").alias("session"),
                pl.col("timestamp").alias("time"),
                pl.col("reference").alias("item"),
                pl.col("impressions").str.split("|").alias("shown"),
                pl.col("device"),
            )
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} is not {data.name}: {error}") from error

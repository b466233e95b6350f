"""YOOCHOOSE clicks (RecSys Challenge 2015) as GRU4Rec's samples have them: session, item, time."""

from __future__ import annotations

import io
from collections.abc import Sequence

import polars as pl

from recsec.data.interactions import Raw
from recsec.data.sources.archive import Archive
from recsec.errors import DataError

__all__ = ["read_sessions"]

COLUMNS = {"SessionId": pl.Int64, "ItemId": pl.Int64, "Time": pl.Float64}


def read_sessions(archive: Archive, members: Sequence[str]) -> Raw:
    """Clicks of all members; a session stands for a user, times are whole seconds.

    Raises:
        DataError: a member lacks a column or holds what is no number.
    """
    parts = []
    for member in members:
        try:
            part = pl.read_csv(
                io.BytesIO(archive.read(member)), separator="\t", schema=dict(COLUMNS)
            )
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{archive.path}:{member} is no table of clicks: {error}") from error
        if sum(part.null_count().row(0)):
            raise DataError(f"{archive.path}:{member} has empty fields")
        parts.append(part)
    rows = pl.concat(parts).sort("SessionId", "Time", maintain_order=True)
    return Raw(
        rows.select(
            pl.col("SessionId").alias("user"),
            pl.col("ItemId").alias("item"),
            pl.lit(None, pl.Float32).alias("rating"),
            pl.col("Time").cast(pl.Int64).alias("time"),
        )
    )

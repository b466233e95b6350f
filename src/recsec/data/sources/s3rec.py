"""S3-Rec's sequence files: one line per user, the user and then the items, oldest first."""

from __future__ import annotations

import polars as pl

from recsec.data.interactions import Raw
from recsec.data.sources.tables.encoding import decode
from recsec.errors import DataError

__all__ = ["read_sequences"]


def read_sequences(data: bytes, *, name: str) -> Raw:
    """Interactions without ratings and times.

    Args:
        data: the text of the file.
        name: what to call it in errors.

    Raises:
        DataError: empty, or a line that is not a user and at least one item, all numbers.
    """
    lines = decode(data, name=name).splitlines()
    table = pl.DataFrame({"line": lines}, schema={"line": pl.String}).with_row_index("number", 1)
    words = pl.col("line").str.strip_chars().str.split(" ")
    table = table.filter(pl.col("line").str.strip_chars() != "").select(
        "number",
        words.list.first().cast(pl.Int64, strict=False).alias("user"),
        words.list.slice(1).cast(pl.List(pl.Int64), strict=False).alias("item"),
    )
    if table.height == 0:
        raise DataError(f"{name} is empty")
    pairs = table.explode("item", empty_as_null=True)
    broken = pairs.filter(pl.col("user").is_null() | pl.col("item").is_null())
    if broken.height:
        number = int(broken["number"][0])
        raise DataError(
            f"{name}, line {number}: found {lines[number - 1][:80]!r}, expected a user and then "
            "items, all whole numbers separated by spaces",
            hint="repair or delete the line",
        )
    unknown = [pl.lit(None, pl.Float32).alias("rating"), pl.lit(None, pl.Int64).alias("time")]
    return Raw(pairs.select("user", "item", *unknown))

"""The user's own table of items: ids, titles, genres, years."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recsec.data.filters import UNDESCRIBED
from recsec.data.interactions import Raw
from recsec.data.sources.tables import Field, read_table
from recsec.errors import DataError

__all__ = ["with_items"]

FIELDS = {
    "id": Field(
        "id", ("id", "item", "item_id", "itemid", "itemId", "movieId", "product_id", "sku")
    ),
    "title": Field("text", ("title", "name", "product_name"), needed=False, filled=False),
    "genres": Field(
        "text", ("genres", "genre", "categories", "category"), needed=False, filled=False
    ),
    "year": Field("whole", ("year",), needed=False, filled=False),
}
"""Usual names are tried in this order."""


def with_items(raw: Raw, path: Path) -> Raw:
    """Interactions with the items as a table describes them.

    The first row of an id counts. Several genres of an item stand in one field with ``|`` between.
    An item of the data that the table lacks keeps its id as title, and is counted in a note.

    Args:
        raw: what a reader found.
        path: CSV, JSON Lines, Parquet, or a folder of parts; the usual names of columns are found.

    Raises:
        DataError: missing or broken, no column of ids, or it describes none of the items.
    """
    found = read_table(path, FIELDS, hint="it needs a column id; title, genres and year may follow")
    rows = found.rows
    ids = raw.rows["item"].unique()
    if ids.dtype == pl.String and rows["id"].dtype != pl.String:
        rows = rows.with_columns(pl.col("id").cast(pl.String))
    if ids.dtype != rows["id"].dtype:
        raise DataError(
            f"ids of {path} are text, such as {rows['id'][0]!r}, those of the data are numbers, "
            f"such as {ids[0]!r}",
            hint="write both in one way",
        )
    genres = pl.Series([[]], dtype=pl.List(pl.String))
    table = rows.select(
        "id",
        (pl.col("title") if "title" in rows else pl.lit(None, pl.String)).alias("title"),
        (pl.col("genres").str.split("|") if "genres" in rows else pl.lit(genres)).alias("genres"),
        (pl.col("year") if "year" in rows else pl.lit(None, pl.Int64)).alias("year"),
    ).unique("id", keep="first", maintain_order=True)
    known = ids.is_in(table["id"].implode()).sum()
    if known == 0:
        raise DataError(
            f"{path} describes none of the {len(ids):,} items of the data (its first id is "
            f"{rows['id'][0]!r}, one of the data {ids[0]!r})",
            hint="its column id must hold the ids of the items",
        )
    notes = [*raw.notes, *found.notes]
    if known < len(ids):
        notes.append(f"{UNDESCRIBED}{len(ids) - known:,} of {len(ids):,}")
    return Raw(raw.rows, table, tuple(notes))

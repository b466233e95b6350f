"""The layout of Fashion Product Images: ``images/<id>.jpg`` and ``styles.csv``.

Source: https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-dataset
"""

from __future__ import annotations

import polars as pl

from recsec.data.photos.layouts.listing import Listing, find_table, read_table
from recsec.data.photos.store import PhotoStore
from recsec.errors import DataError

__all__ = ["STYLES", "read_styles"]

STYLES = "styles.csv"
ATTRIBUTES = ("baseColour", "usage", "season", "gender")


def read_styles(store: PhotoStore) -> Listing:
    """Labels of the fashion photos: the category is ``articleType``.

    The public table has lines whose name holds commas and is not quoted; the name is the last
    column, so it is only cut short. ``NA`` in an attribute means that nobody knows.

    Raises:
        DataError: ``styles.csv`` is absent or lacks a column.
    """
    member = find_table(store, STYLES)
    if member is None:
        raise DataError(
            f"{store.path} has no {STYLES}", hint=f"expected images/<id>.jpg and {STYLES}"
        )
    table = read_table(store, member, ragged=True)
    needed = ("id", "articleType", "productDisplayName", *ATTRIBUTES)
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DataError(
            f"{store.path}/{member} has no column {missing[0]!r}; it has: "
            f"{', '.join(table.columns)}"
        )
    folder = member.removesuffix(STYLES) + "images/"
    listed = table.select(
        pl.concat_str(pl.lit(folder), "id", pl.lit(".jpg")).alias("name"),
        pl.col("id").cast(pl.Int64, strict=False),
        pl.col("productDisplayName").fill_null("").alias("title"),
        pl.col("articleType").alias("category"),
        *(pl.col(name).replace("NA", None) for name in ATTRIBUTES),
    )
    return Listing(listed, ATTRIBUTES)

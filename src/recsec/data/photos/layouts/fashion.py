"""The layout of Fashion Product Images: ``images/<id>.jpg`` and ``styles.csv``.

Source: https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-dataset
"""

from __future__ import annotations

import polars as pl

from recsec.data.photos.layouts.listing import Listing, find_table, read_labels_table
from recsec.data.photos.store import PhotoStore
from recsec.data.sources.tables import Field, choose
from recsec.errors import DataError

__all__ = ["STYLES", "read_styles"]

STYLES = "styles.csv"
CATEGORY, TITLE = "articleType", "productDisplayName"
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
    table = read_labels_table(store, member, ragged=True)
    fields = {
        "id": Field("whole", filled=False),
        **{name: Field("text", filled=False) for name in (CATEGORY, TITLE, *ATTRIBUTES)},
    }
    rows = table.read(fields, choose(table.name, table.columns, fields, {})).rows
    folder = member.removesuffix(STYLES) + "images/"
    listed = rows.select(
        pl.concat_str(pl.lit(folder), "id", pl.lit(".jpg")).alias("name"),
        "id",
        pl.col(TITLE).fill_null("").alias("title"),
        pl.col(CATEGORY).alias("category"),
        *(pl.col(name).replace("NA", None) for name in ATTRIBUTES),
    )
    return Listing(listed, ATTRIBUTES)

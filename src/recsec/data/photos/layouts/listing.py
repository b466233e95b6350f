"""What the tables of a photo set say, before any photo was opened."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from recsec.data.photos.store import PhotoStore
from recsec.data.sources.delimited import is_binary, unknown_encoding
from recsec.errors import DataError

__all__ = ["Listing", "find_table", "read_table"]


@dataclass(frozen=True, eq=False)
class Listing:
    """Labels of photos in the order of their table.

    Attributes:
        table: columns ``name`` (of the image in the store), ``id``, ``title``, ``category``, the
            attributes, and ``partition`` (``train``, ``val`` or ``test``) where the publisher
            says it. Where ``id`` or ``category`` is null the photo has no label.
        attributes: names of the attribute columns.
    """

    table: pl.DataFrame
    attributes: tuple[str, ...]


def find_table(store: PhotoStore, member: str) -> str | None:
    """The name in the store of the file called ``member``, the one in the fewest folders."""
    names = [name for name, _, _ in store.files if name.rpartition("/")[2] == member]
    return min(names, key=lambda name: (name.count("/"), len(name)), default=None)


def read_table(store: PhotoStore, name: str, *, ragged: bool = False) -> pl.DataFrame:
    """A CSV with a header in UTF-8, all columns as text, empty fields as null.

    Args:
        store: where it lies.
        name: its name there.
        ragged: fields beyond the header's are cut off; if not, they are an error.

    Raises:
        DataError: it cannot be read, or has no rows.
    """
    where = f"{store.path}/{name}"
    with store.open() as read:
        text = read(name)
    if is_binary(text):
        raise unknown_encoding(where)
    try:
        table = pl.read_csv(text, infer_schema=False, truncate_ragged_lines=ragged)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{where} cannot be read: {error}", hint="expected CSV with a header, in UTF-8"
        ) from error
    if table.height == 0:
        raise DataError(f"{where} has no rows")
    return table.with_columns(pl.all().str.strip_chars().replace("", None))

"""What the tables of a photo set say, before any photo was opened."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from recsec.data.photos.store import PhotoStore
from recsec.data.sources.tables import Dialect, OpenTable, open_table

__all__ = ["Listing", "find_table", "read_labels_table"]


@dataclass(frozen=True, eq=False)
class Listing:
    """Labels of photos in the order of their table.

    Attributes:
        table: columns ``name`` (of the image in the store), ``id``, ``title``, ``category``, the
            attributes, and ``partition`` (``train``, ``val`` or ``test``) where the publisher
            says it. Where ``id`` or ``category`` is null the photo has no label.
        attributes: names of the attribute columns.
        notes: what the reader left out.
    """

    table: pl.DataFrame
    attributes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_table(store: PhotoStore, member: str) -> str | None:
    """The name in the store of the file called ``member``, the one in the fewest folders."""
    names = [name for name, _, _ in store.files if name.rpartition("/")[2] == member]
    return min(names, key=lambda name: (name.count("/"), len(name)), default=None)


def read_labels_table(
    store: PhotoStore, name: str, *, dialect: Dialect | None = None, ragged: bool = False
) -> OpenTable:
    """Open a table of the store.

    Args:
        store: where it lies.
        name: its name there.
        dialect: what the user says about it.
        ragged: fields beyond the header's are cut off; if not, they are an error.

    Raises:
        DataError: it cannot be read.
    """
    with store.open() as read:
        data = read(name)
    return open_table(
        data, name=f"{store.path}/{name}", wanted=("category",), dialect=dialect, ragged=ragged
    )

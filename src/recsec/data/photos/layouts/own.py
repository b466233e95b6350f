"""The user's own photos: a folder or zip archive of images with a table of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from recsec.data.photos.layouts.fashion import STYLES, read_styles
from recsec.data.photos.layouts.listing import Listing, find_table, read_labels_table
from recsec.data.photos.names import folded
from recsec.data.photos.store import PhotoStore
from recsec.data.sources.tables import SUFFIXES, Dialect, Field, OpenTable, choose
from recsec.errors import ConfigError, DataError

__all__ = ["read_labels"]

FIELDS = {
    "id": Field("id", ("id", "item", "item_id", "product_id", "sku"), needed=False, filled=False),
    "category": Field("text", ("category", "articleType", "label", "class"), filled=False),
    "image": Field("text", ("image", "file", "filename", "path"), needed=False, filled=False),
    "title": Field("text", ("title", "name", "productDisplayName"), needed=False, filled=False),
}
"""Usual names are tried in this order where ``--columns`` says nothing."""
HINT = "--columns id=..,category=..,image=..,title=..,attributes=color+season"


def read_labels(
    store: PhotoStore,
    *,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
) -> Listing:
    """Labels of a shop's photos.

    The folder holds one table, or one called ``labels.csv`` (or another format's suffix). Only
    ``category`` and one of ``id`` and ``image`` are required: a photo without a column for its file
    is the one whose name without suffix is the id, and without ids the names of the files are the
    ids. ``attributes`` names columns joined by ``+``; ``|`` separates several values in a field. A
    folder with ``styles.csv`` and no ``columns`` has the layout of the fashion photos.

    Raises:
        DataError: no table, several of them, or a column that is not there.
        ConfigError: a key of ``columns`` that is not ours.
    """
    known = (*FIELDS, "attributes")
    unknown = set(columns or {}) - set(known)
    if unknown:
        raise ConfigError(
            f"unknown columns {sorted(unknown)}; expected {', '.join(known)}", hint=HINT
        )
    if not columns and find_table(store, STYLES) is not None:
        return read_styles(store)
    member = _table_name(store)
    table = read_labels_table(store, member, dialect=dialect)
    named = dict(columns or {})
    attributes = tuple(filter(None, named.pop("attributes", "").split("+")))
    chosen = choose(table.name, table.columns, FIELDS, named, hint=HINT)
    _check(table, chosen, attributes)
    extra = {name: Field("text", filled=False) for name in attributes}
    read = table.read({**FIELDS, **extra}, {**chosen, **{name: name for name in attributes}})
    rows = read.rows
    if "image" in chosen:
        folder = member.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        image = (prefix + rows["image"]).to_list()
    else:
        files = _by_stem(store)
        image = [files.get(folded(str(item))) for item in rows["id"].to_list()]
    ids = rows["id"] if "id" in chosen else pl.Series(image, dtype=pl.String)
    title = rows["title"].fill_null("") if "title" in chosen else ids.cast(pl.String).fill_null("")
    listed = pl.DataFrame(
        {
            "name": pl.Series(image, dtype=pl.String).fill_null("(no file)"),
            "id": ids,
            "title": title,
            "category": rows["category"],
        }
    )
    lists = [name for name in attributes if rows[name].str.contains("|", literal=True).any()]
    values = [
        pl.Series(name, rows[name].str.split("|") if name in lists else rows[name])
        for name in attributes
    ]
    return Listing(listed.with_columns(*values), attributes, read.notes)


def _table_name(store: PhotoStore) -> str:
    for suffix in SUFFIXES:
        labels = find_table(store, f"labels{suffix}")
        if labels is not None:
            return labels
    names = [name for name, _, _ in store.files]
    tables = [name for name in names if name.lower().endswith(".csv")]
    tables = tables or [name for name in names if name.lower().endswith(SUFFIXES)]
    if len(tables) != 1:
        found = ", ".join(tables[:5]) or "none"
        raise DataError(
            f"{store.path}: expected one table of labels, found {found}",
            hint="name it labels.csv; it needs a column category, and id or image",
        )
    return tables[0]


def _check(table: OpenTable, chosen: Mapping[str, str], attributes: Sequence[str]) -> None:
    """Refuse a table without both id and image, and attributes that are none."""
    have = ", ".join(table.columns)
    if not {"id", "image"} & set(chosen):
        raise DataError(
            f"{table.name} has neither a column for id nor one for image; it has: {have}",
            hint=HINT,
        )
    for name in attributes:
        reserved = ("name", "id", "title", "category", "partition")
        if name not in table.columns or name in reserved or name in FIELDS:
            raise DataError(
                f"{table.name}: {name!r} cannot be an attribute; its columns are {have}", hint=HINT
            )


def _by_stem(store: PhotoStore) -> dict[str, str]:
    """Images by their folded name without folder and suffix; the first of equal names."""
    found: dict[str, str] = {}
    for name in store.images:
        found.setdefault(folded(name.rpartition("/")[2].rpartition(".")[0]), name)
    return found

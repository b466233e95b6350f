"""The user's own photos: a folder or zip archive of images with a CSV of labels."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from recsec.data.photos.layouts.fashion import STYLES, read_styles
from recsec.data.photos.layouts.listing import Listing, find_table, read_table
from recsec.data.photos.store import PhotoStore
from recsec.errors import ConfigError, DataError

__all__ = ["read_labels"]

USUAL_NAMES = {
    "id": ("id", "item", "item_id", "product_id", "sku"),
    "category": ("category", "articleType", "label", "class"),
    "image": ("image", "file", "filename", "path"),
    "title": ("title", "name", "productDisplayName"),
}
"""Tried in this order where ``--columns`` says nothing."""
HINT = "--columns id=..,category=..,image=..,title=..,attributes=color+season"


def read_labels(store: PhotoStore, *, columns: Mapping[str, str] | None = None) -> Listing:
    """Labels of a shop's photos.

    The folder holds one CSV, or one called ``labels.csv``. Only ``category`` and one of ``id`` and
    ``image`` are required: a photo without a column for its file is the one whose name without
    suffix is the id, and without ids the names of the files are the ids. ``attributes`` names
    columns joined by ``+``; ``|`` separates several values in a field. A folder with
    ``styles.csv`` and no ``columns`` has the layout of the fashion photos.

    Raises:
        DataError: no table, several of them, or a column that is not there.
        ConfigError: a key of ``columns`` that is not ours.
    """
    known = (*USUAL_NAMES, "attributes")
    unknown = set(columns or {}) - set(known)
    if unknown:
        raise ConfigError(
            f"unknown columns {sorted(unknown)}; expected {', '.join(known)}", hint=HINT
        )
    if not columns and find_table(store, STYLES) is not None:
        return read_styles(store)
    member = _table_name(store)
    table = read_table(store, member)
    chosen, attributes = _choose(f"{store.path}/{member}", table.columns, columns or {})
    if "image" in chosen:
        folder = member.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        image = (prefix + table[chosen["image"]].str.replace_all(r"\\", "/")).to_list()
    else:
        files = _by_stem(store)
        image = [files.get(item) for item in table[chosen["id"]]]
    ids = table[chosen["id"]] if "id" in chosen else pl.Series(image)
    lists = [name for name in attributes if table[name].str.contains("|", literal=True).any()]
    listed = pl.DataFrame(
        {
            "name": pl.Series(image, dtype=pl.String).fill_null("(no file)"),
            "id": ids.cast(pl.Int64) if _numbers(ids) else ids,
            "title": table[chosen["title"]] if "title" in chosen else ids,
            "category": table[chosen["category"]],
        }
    )
    values = [
        pl.Series(name, table[name].str.split("|") if name in lists else table[name])
        for name in attributes
    ]
    return Listing(listed.with_columns(pl.col("title").fill_null(""), *values), attributes)


def _table_name(store: PhotoStore) -> str:
    labels = find_table(store, "labels.csv")
    if labels is not None:
        return labels
    tables = [name for name, _, _ in store.files if name.lower().endswith(".csv")]
    if len(tables) != 1:
        found = ", ".join(tables[:5]) or "none"
        raise DataError(
            f"{store.path}: expected one CSV of labels, found {found}",
            hint="name it labels.csv; it needs a column category, and id or image",
        )
    return tables[0]


def _choose(
    where: str, have: list[str], columns: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The table's column for each of ours, and its attribute columns."""
    chosen = {}
    for ours, names in USUAL_NAMES.items():
        wanted = (columns[ours],) if ours in columns else names
        found = next((name for name in wanted if name in have), None)
        if found is not None:
            chosen[ours] = found
        elif ours in columns or ours == "category":
            raise DataError(
                f"{where} has no column for {ours} ({', '.join(wanted)}); it has: "
                f"{', '.join(have)}",
                hint=HINT,
            )
    if not {"id", "image"} & set(chosen):
        raise DataError(
            f"{where} has neither a column for id nor one for image; it has: {', '.join(have)}",
            hint=HINT,
        )
    attributes = tuple(filter(None, columns.get("attributes", "").split("+")))
    for name in attributes:
        if name not in have or name in ("name", "id", "title", "category", "partition"):
            raise DataError(
                f"{where}: {name!r} cannot be an attribute; its columns are {', '.join(have)}",
                hint=HINT,
            )
    return chosen, attributes


def _by_stem(store: PhotoStore) -> dict[str, str]:
    """Images by their name without folder and suffix; the first of equal names."""
    found: dict[str, str] = {}
    for name in store.images:
        found.setdefault(name.rpartition("/")[2].rpartition(".")[0], name)
    return found


def _numbers(ids: pl.Series) -> bool:
    """Whole numbers if all look like it; ``007`` is text, or it would become 7."""
    return bool(ids.drop_nulls().str.contains(r"^(0|[1-9]\d{0,17})$").all())

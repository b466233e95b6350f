"""DeepFashion "Category and Attribute Prediction": photos in folders, labels in text tables.

Source: Liu et al., "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich
Annotations" (CVPR 2016), and the README of its benchmark: every table starts with the number of
its rows and a line of column names; category numbers start at 1; attributes are -1, 0 or 1, and
those of type 1 are textures.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.photos.layouts.listing import Listing
from recsec.data.photos.store import PhotoStore
from recsec.data.sources.known import KNOWN_PHOTOS
from recsec.errors import DataError

__all__ = ["read_deepfashion"]

TABLES = KNOWN_PHOTOS["deepfashion"].members
TEXTURE = "1"
LINES = 20_000
"""Lines of attributes that are parsed at once, about 50 MB."""


def read_deepfashion(store: PhotoStore) -> Listing:
    """Categories, textures and the publisher's partition; photos without a texture are left out.

    Raises:
        DataError: a table is absent or malformed.
    """
    tables = {name: _find(store, name) for name in TABLES}
    names = [line.rsplit(None, 1) for line in _lines(store, tables["list_category_cloth.txt"])]
    kinds = [line.rsplit(None, 1) for line in _lines(store, tables["list_attr_cloth.txt"])]
    textures = np.array([kind == TEXTURE for _, kind in kinds])
    vocabulary = np.array([name for name, _ in kinds], dtype=object)[textures]
    category = dict(_pairs(store, tables["list_category_img.txt"]))
    partition = dict(_pairs(store, tables["list_eval_partition.txt"]))

    images: list[str] = []
    values: list[list[str]] = []
    for part, has in _attributes(store, tables["list_attr_img.txt"], len(kinds)):
        chosen = has[:, textures]
        for place in np.flatnonzero(chosen.any(axis=1)):
            images.append(part[place])
            values.append(vocabulary[chosen[place]].tolist())
    if not images:
        raise DataError(f"{store.path}: no photo has an attribute of type texture")

    number = [category.get(image, "") for image in images]
    wrong = next((n for n in number if n and not (n.isdigit() and 0 < int(n) <= len(names))), None)
    if wrong is not None:
        raise DataError(
            f"{store.path}: category {wrong!r} is none of the {len(names)} in "
            f"{tables['list_category_cloth.txt']}"
        )
    prefix = _prefix(store, images)
    table = pl.DataFrame(
        {
            "name": [prefix + image for image in images],
            "id": images,
            "title": [
                image.split("/")[-2].replace("_", " ") if "/" in image else image
                for image in images
            ],
            "category": [names[int(n) - 1][0] if n else None for n in number],
            "texture": pl.Series(values, dtype=pl.List(pl.String)),
            "partition": pl.Series([partition.get(image) for image in images], dtype=pl.String),
        }
    )
    unknown = set(table["partition"]) - {"train", "val", "test"}
    if unknown:
        raise DataError(
            f"{store.path}/{tables['list_eval_partition.txt']}: found {sorted(map(str, unknown))}, "
            "expected train, val or test for every photo"
        )
    return Listing(table, ("texture",))


def _find(store: PhotoStore, table: str) -> str:
    """The table, outside the folder of the later, finer annotation of 20,000 photos."""
    names = [name for name, _, _ in store.files if name.rpartition("/")[2] == table]
    names = [name for name in names if "Anno_fine" not in name]
    if not names:
        raise DataError(
            f"{store.path} has no {table}",
            hint="expected the folder of Category and Attribute Prediction: Anno, Eval and Img",
        )
    return min(names, key=len)


def _lines(store: PhotoStore, name: str) -> list[str]:
    """The rows of a table; their number must be the one in the first line."""
    with store.open() as read:
        lines = read(name).decode("utf-8", errors="replace").splitlines()
    rows = [line for line in lines[2:] if line.strip()]
    if len(lines) < 3 or not lines[0].strip().isdigit() or int(lines[0]) != len(rows):
        found = lines[0].strip()[:40] if lines else ""
        raise DataError(
            f"{store.path}/{name}: the first line is {found!r}, expected the number of rows that "
            f"follow the header ({len(rows):,} found); the file may be cut short"
        )
    bad = next((row for row in rows if len(row.split(None, 1)) < 2), None)
    if bad is not None:
        raise DataError(f"{store.path}/{name}: found {bad[:80]!r}, expected two columns")
    return rows


def _pairs(store: PhotoStore, name: str) -> Iterator[tuple[str, str]]:
    for line in _lines(store, name):
        image, value = line.rsplit(None, 1)
        yield image.strip(), value


def _attributes(
    store: PhotoStore, name: str, count: int
) -> Iterator[tuple[list[str], npt.NDArray[np.bool_]]]:
    """Names of images and which attributes they have ``(L, count)``, some lines at a time."""
    lines = _lines(store, name)
    for start in range(0, len(lines), LINES):
        parts = [line.split(None, 1) for line in lines[start : start + LINES]]
        has = _positive([rest for _, rest in parts], count)
        if has is None:
            raise DataError(
                f"{store.path}/{name}, rows from {start + 1:,}: expected {count} values of -1, 0 "
                "or 1 for every photo"
            )
        yield [image for image, _ in parts], has


def _positive(rows: list[str], count: int) -> npt.NDArray[np.bool_] | None:
    """Which values are 1; None if a row has another number of values, or others than -1, 0, 1.

    A token ends with its only digit, so digits and the signs before them say everything.
    """
    text = np.frombuffer(("\n".join(rows) + "\n").encode("ascii", "replace"), dtype=np.uint8)
    digit = (text == ord("0")) | (text == ord("1"))
    minus = text == ord("-")
    blank = (text == ord(" ")) | (text == ord("\n")) | (text == ord("\t"))
    whole = (digit | minus | blank).all() and blank[1:][digit[:-1]].all()
    whole = whole and digit[1:][minus[:-1]].all()
    ends = np.flatnonzero(text == ord("\n"))
    per_row = np.diff(np.cumsum(digit, dtype=np.int64)[ends], prepend=0)
    if not whole or (per_row != count).any():
        return None
    place = np.flatnonzero(digit)
    before = text[place - 1]  # of the very first: the line end at the back, which is no sign
    positive: npt.NDArray[np.bool_] = (text[place] == ord("1")) & (before != ord("-"))
    return positive.reshape(len(rows), count)


def _prefix(store: PhotoStore, images: list[str]) -> str:
    """What stands before the names of the tables, such as ``Img/``."""
    wanted = images[0]
    for name in store.images:
        if name == wanted or name.endswith("/" + wanted):
            return name.removesuffix(wanted)
    known = set(store.images)
    folders = sorted({name.partition("img/")[0] for name in known if "img/" in name}, key=len)
    for folder in folders:
        if any(folder + image in known for image in images):
            return folder
    raise DataError(
        f"{store.path} has none of the photos of its tables, such as {wanted}",
        hint="unpack Img/img.zip where it lies",
    )

"""What a catalog of photos looks like: the numbers and tables behind ``recsec data analyze``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.photos.catalog import Photos
from recsec.types import IntArray

__all__ = ["PhotoAnalysis", "analyze_photos"]

MIN_PHOTOS = 20
SHEET_ROWS, SHEET_COLUMNS, SHEET_SIZE = 12, 10, 96


@dataclass(frozen=True, eq=False)
class PhotoAnalysis:
    """Numbers, tables and some pixels of one catalog.

    Attributes:
        name: the catalog.
        synthetic: whether it was made up.
        summary: flat names to numbers, texts or None; what ``--json`` prints.
        categories: columns ``category``, ``photos``, most first.
        attributes: for each attribute columns ``value``, ``photos``, most first; a photo of
            several values counts in each.
        sheet: photos of the most frequent categories, one row each:
            ``(R, C, 3, 96, 96)`` uint8, white where a category has fewer than C.
    """

    name: str
    synthetic: bool
    summary: dict[str, Any]
    categories: pl.DataFrame
    attributes: dict[str, pl.DataFrame]
    sheet: npt.NDArray[np.uint8]


def analyze_photos(photos: Photos) -> PhotoAnalysis:
    """Count everything that ``PhotoAnalysis`` holds."""
    categories = _counts(photos.table["category"]).rename({"value": "category"})
    attributes = {name: _counts(photos.table[name]) for name in photos.attributes}
    enough = categories.filter(pl.col("photos") >= MIN_PHOTOS)
    report = photos.report
    widths, heights, counts = (
        np.array([size[side] for size in report.sizes], dtype=np.int64) for side in range(3)
    )
    summary: dict[str, Any] = {
        "name": photos.name,
        "synthetic": photos.synthetic,
        "photos": len(photos),
        "categories": categories.height,
        f"categories_of_{MIN_PHOTOS}": enough.height,
        f"photos_in_categories_of_{MIN_PHOTOS}": int(enough["photos"].sum()),
        "resize": str(photos.rule),
    }
    for key, values in (("width", widths), ("height", heights)):
        summary[f"{key}_min"] = int(values.min()) if len(values) else None
        summary[f"{key}_median"] = _median(values, counts)
        summary[f"{key}_max"] = int(values.max()) if len(values) else None
    said = report.to_json()
    faults, notes = said.pop("faults"), said.pop("notes")
    summary["listed"] = said.pop("listed")
    summary |= {f"skipped[{key}]": value for key, value in said.items()}
    summary["faults"] = [f"{name}: {reason}" for name, reason in faults]
    summary["notes"] = notes
    summary |= {f"category[{name}]": count for name, count in categories.iter_rows()}
    for name, table in attributes.items():
        summary |= {f"{name}[{value}]": count for value, count in table.iter_rows()}
        summary[f"{name}[]"] = len(photos) - _known(photos.table[name])
    summary["fingerprint"] = photos.fingerprint
    return PhotoAnalysis(
        name=photos.name,
        synthetic=photos.synthetic,
        summary=summary,
        categories=categories,
        attributes=attributes,
        sheet=_sheet(photos, categories["category"].head(SHEET_ROWS).to_list()),
    )


def _counts(column: pl.Series) -> pl.DataFrame:
    """Columns ``value`` and ``photos``, most first, equal ones by name."""
    flat = column.explode() if isinstance(column.dtype, pl.List) else column
    counted = flat.rename("value").drop_nulls().value_counts(name="photos")
    return counted.cast({"photos": pl.Int64}).sort("photos", "value", descending=[True, False])


def _known(column: pl.Series) -> int:
    """Photos of which the attribute is known."""
    if isinstance(column.dtype, pl.List):
        return int((column.list.len().fill_null(0) > 0).sum())
    return column.len() - column.null_count()


def _median(values: IntArray, counts: IntArray) -> float | None:
    return float(np.median(np.repeat(values, counts))) if len(values) else None


def _sheet(photos: Photos, categories: list[str]) -> npt.NDArray[np.uint8]:
    """The first photos of each category."""
    sheet = np.full(
        (len(categories), SHEET_COLUMNS, 3, SHEET_SIZE, SHEET_SIZE), 255, dtype=np.uint8
    )
    column = photos.table["category"].to_numpy()
    chosen = [np.flatnonzero(column == name)[:SHEET_COLUMNS] for name in categories]
    pixels = photos.source.draw(np.concatenate(chosen), SHEET_SIZE, photos.rule)
    ends = np.cumsum([len(rows) for rows in chosen])
    for row, part in enumerate(np.split(pixels, ends[:-1])):
        sheet[row, : len(part)] = part
    return sheet

"""Which photos train, which choose defaults, and which give the numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.photos.catalog import Photos
from recsec.errors import ConfigError, DataError
from recsec.types import IntArray

__all__ = ["PhotoSplit", "split_photos"]


@dataclass(frozen=True, eq=False)
class PhotoSplit:
    """Rows of a catalog by what they are for; every category has its share in each part.

    Attributes:
        photos: the catalog.
        categories: ``(C,)`` names, sorted; only those with enough photos.
        train: rows the encoder learns from.
        validation: rows that choose epochs and defaults.
        test: queries and pairs of the reported numbers.
        protocol: how it was split, in words, to be printed with every number.
    """

    photos: Photos
    categories: tuple[str, ...]
    train: IntArray
    validation: IntArray
    test: IntArray
    protocol: str

    @property
    def catalog(self) -> IntArray:
        """All rows of the three parts, in increasing order: what is ranked."""
        return np.sort(np.concatenate([self.train, self.validation, self.test]))

    @property
    def labels(self) -> IntArray:
        """``(N,)`` number of the category of each row; -1 outside the three parts."""
        number = {name: place for place, name in enumerate(self.categories)}
        column = self.photos.table["category"]
        return np.array([number.get(name, -1) for name in column], dtype=np.int64)

    def attribute_targets(self) -> dict[str, tuple[tuple[str, ...], npt.NDArray[np.bool_]]]:
        """For each attribute its values, sorted, and which photo has which, ``(N, A)``.

        Values that occur only outside the three parts are left out. A photo of which an attribute
        is not known has an empty row.
        """
        table, rows = self.photos.table, self.catalog
        return {name: _targets(table[name], rows) for name in self.photos.attributes}


def split_photos(
    photos: Photos,
    *,
    min_photos: int = 20,
    held_out: float | None = None,
    validation: float | None = None,
    seed: int = 0,
) -> PhotoSplit:
    """Split every category by itself, at random, or as the publisher did.

    The rows of a category depend on its own photos and the seed, not on other categories. A
    category of two or more photos has at least one in the test part, one of three or more at
    least one in validation, and all have at least one in training.

    Args:
        photos: the catalog.
        min_photos: categories with fewer are left out.
        held_out: share of test rows, 0.2 if None.
        validation: share of validation rows, 0.05 if None; 0 for none.
        seed: of the draw. Where both shares are None and the publisher split the photos, his
            parts are taken and nothing is drawn.

    Raises:
        DataError: no category has enough photos.
        ConfigError: shares that leave nothing to train on.
    """
    drawn = (held_out, validation) != (None, None) or "partition" not in photos.table.columns
    shares = (0.2 if held_out is None else held_out, 0.05 if validation is None else validation)
    if not (0 < shares[0] < 1 and 0 <= shares[1] < 1 and sum(shares) < 1):
        raise ConfigError(
            f"shares of {shares[0]:g} test and {shares[1]:g} validation rows: expected positive "
            "numbers with a sum below 1"
        )
    grouped = (
        photos.table.select("category")
        .with_row_index("row")
        .group_by("category")
        .agg(pl.col("row").cast(pl.Int64))
        .filter(pl.col("row").list.len() >= min_photos)
        .sort("category")
    )
    if grouped.height == 0:
        raise DataError(
            f"no category of {photos.name} has {min_photos} photos or more "
            f"({len(photos):,} photos in {photos.table['category'].n_unique():,} categories)"
        )
    if drawn:
        parts = _draw(grouped, shares, seed)
        how = f"stratified {shares[0]:.0%} hold-out and {shares[1]:.0%} validation, seed {seed}"
    else:
        parts = _published(photos, np.sort(np.concatenate(grouped["row"].to_list())))
        how = "the publisher's partition"
    words = f"{grouped.height:,} categories with at least {min_photos} photos after repeats; {how}"
    return PhotoSplit(photos, tuple(grouped["category"]), *parts, words)


Parts = tuple[IntArray, IntArray, IntArray]


def _draw(grouped: pl.DataFrame, shares: tuple[float, float], seed: int) -> Parts:
    """Rows of training, validation and test."""
    from recsec.rng import Streams  # imports torch, which reading files does not need

    streams = Streams(seed).child("photo split")
    parts: tuple[list[IntArray], ...] = ([], [], [])
    for name, rows in grouped.iter_rows():
        mixed = streams.numpy(name).permutation(np.array(rows, dtype=np.int64))
        n = len(mixed)
        choose = max(1, round(shares[1] * n)) if n > 2 and shares[1] > 0 else 0
        test = min(max(1, round(shares[0] * n)), n - choose - 1)
        for part, piece in zip(parts, np.split(mixed, [n - test - choose, n - test]), strict=True):
            part.append(piece)
    train, choosing, testing = (np.sort(np.concatenate(part)) for part in parts)
    return train, choosing, testing


def _published(photos: Photos, rows: IntArray) -> Parts:
    """The rows of each part.

    Raises:
        DataError: a part that must have rows is empty.
    """
    part = photos.table["partition"].to_numpy()[rows]
    train, choosing, testing = (rows[part == name] for name in ("train", "val", "test"))
    if not (len(train) and len(testing)):
        raise DataError(
            f"the publisher's partition of {photos.name} has {len(train):,} photos to train on and "
            f"{len(testing):,} to test"
        )
    return train, choosing, testing


def _targets(column: pl.Series, rows: IntArray) -> tuple[tuple[str, ...], npt.NDArray[np.bool_]]:
    """Sorted values among ``rows``, and a bool matrix over all rows."""
    many = column if isinstance(column.dtype, pl.List) else column.reshape((-1, 1)).arr.to_list()
    pairs = pl.DataFrame({"row": np.arange(len(column)), "value": many}).explode("value")
    pairs = pairs.drop_nulls("value")
    values = tuple(sorted(set(pairs.filter(pl.col("row").is_in(rows.tolist()))["value"])))
    place = {value: number for number, value in enumerate(values)}
    matrix = np.zeros((len(column), len(values)), dtype=bool)
    known = pairs.filter(pl.col("value").is_in(values))
    matrix[known["row"].to_numpy(), [place[value] for value in known["value"]]] = True
    return values, matrix

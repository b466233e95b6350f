"""What users' histories are like, and how their lists differ from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recsec.data.catalog import Catalog
from recsec.data.sequences import Split, Stage
from recsec.metrics.catalog import (
    genre_counts,
    jaccard,
    mean_per_list,
    popularity_percentiles,
    weighted_jaccard,
)
from recsec.types import FloatArray, IntArray

__all__ = [
    "ADULT_GENRES",
    "CHILDREN_GENRES",
    "HistoryTable",
    "describe_histories",
    "list_columns",
]

CHILDREN_GENRES = ("Animation", "Children", "Children's")
ADULT_GENRES = ("Crime", "Film-Noir", "Horror", "Thriller")
CHILDREN_SHARE = 0.25
LIST = 10


@dataclass(frozen=True, eq=False)
class HistoryTable:
    """One row per user.

    Attributes:
        lengths: ``(U,)`` items in the history.
        genres: ``(U, G)`` how many items carry each genre.
        year: ``(U,)`` mean release year, NaN where none is known.
        popularity: ``(U,)`` mean popularity percentile (train counts).
        children: ``(U,)`` bool, at least a quarter of the items are children's.
        left_out: metrics that cannot be had, with the reason.
    """

    lengths: IntArray
    genres: FloatArray
    year: FloatArray
    popularity: FloatArray
    children: npt.NDArray[np.bool_]
    left_out: dict[str, str] = field(default_factory=dict)


def _item_years(catalog: Catalog) -> FloatArray:
    """``(N + 1,)`` release years, NaN where unknown."""
    years = catalog.years.astype(np.float64)
    years[years == 0] = np.nan
    return years


def _carries(catalog: Catalog, names: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """``(N + 1,)`` bool: the item has one of the genres."""
    columns = [at for at, name in enumerate(catalog.genre_names) if name in names]
    return np.asarray(catalog.genre_matrix[:, columns].any(axis=1))


def describe_histories(split: Split, stage: Stage, users: IntArray) -> HistoryTable:
    """Describe what is known of each user before the held-out item.

    Args:
        split: all users.
        stage: which item is held out.
        users: ``(U,)`` user numbers.
    """
    catalog = split.catalog
    known = split.full.drop_last(1 if stage == "test" else 2)
    starts, lengths = known.offsets[:-1], known.lengths
    items = known.items

    def per_user(values: FloatArray) -> FloatArray:
        """Sum of an item property over each history (no history is empty)."""
        total: FloatArray = np.add.reduceat(values[items], starts)
        return total

    genres = np.zeros((len(known), len(catalog.genre_names)))
    for column in range(genres.shape[1]):
        genres[:, column] = per_user(catalog.genre_matrix[:, column].astype(np.float64))
    years = _item_years(catalog)
    dated = per_user((~np.isnan(years)).astype(np.float64))
    year = np.full(len(known), np.nan)
    np.divide(per_user(np.nan_to_num(years)), dated, out=year, where=dated > 0)
    percentiles = np.nan_to_num(popularity_percentiles(split.train.counts))
    children = per_user(_carries(catalog, CHILDREN_GENRES).astype(np.float64)) / lengths
    left_out = {}
    if not catalog.genre_names:
        left_out["genre_consistency@10"] = "the items have no genres"
        left_out["genre_similarity@10"] = "the items have no genres"
    if not set(CHILDREN_GENRES) & set(catalog.genre_names):
        left_out["children_to_adult@10"] = "the items have no children's genre"
    if np.isnan(years).all():
        left_out["year_shift@10"] = "the items have no release years"
    return HistoryTable(
        lengths=lengths[users],
        genres=genres[users],
        year=year[users],
        popularity=(per_user(percentiles) / lengths)[users],
        children=(children >= CHILDREN_SHARE)[users],
        left_out=left_out,
    )


def list_columns(split: Split, histories: HistoryTable, lists: IntArray) -> dict[str, FloatArray]:
    """How the first ten places of each list relate to the user's history.

    - ``popularity@10``: mean popularity percentile of the items (train counts; the catalog's mean
      is 0.5). ``popularity_bias@10``: that minus the same of the history, so 0 is a list as
      popular as what the user already chose.
    - ``genre_consistency@10``: Jaccard index of the genres that occur in history and list.
      ``genre_similarity@10``: weighted Jaccard of the genre shares, which does not saturate for
      long histories.
    - ``year_shift@10``: mean release year of the list minus that of the history, in years.
    - ``children_to_adult@10``: for users with at least a quarter of children's items
      (``CHILDREN_GENRES``), 1 if the list holds an item of ``ADULT_GENRES`` that is not also a
      children's item, else 0; NaN for other users.

    Args:
        split: for item properties and train counts.
        histories: one row per user.
        lists: ``(U, K)`` catalog indices.

    Returns:
        ``(U,)`` per metric; those of ``histories.left_out`` are missing.
    """
    catalog, top = split.catalog, lists[:, :LIST]
    popularity = mean_per_list(popularity_percentiles(split.train.counts), top)
    columns = {
        "popularity@10": popularity,
        "popularity_bias@10": popularity - histories.popularity,
    }
    if catalog.genre_names:
        listed = genre_counts(top, catalog.genre_matrix)
        columns["genre_consistency@10"] = jaccard(histories.genres, listed)
        columns["genre_similarity@10"] = weighted_jaccard(histories.genres, listed)
    columns["year_shift@10"] = mean_per_list(_item_years(catalog), top) - histories.year
    adult = _carries(catalog, ADULT_GENRES) & ~_carries(catalog, CHILDREN_GENRES)
    crossing = adult[top].any(axis=1).astype(np.float64)
    columns["children_to_adult@10"] = np.where(histories.children, crossing, np.nan)
    return {name: column for name, column in columns.items() if name not in histories.left_out}

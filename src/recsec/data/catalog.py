"""The items of a recommender: external ids, titles, attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.item_table import ItemTable
from recsec.errors import DataError, RunError
from recsec.runs import read_table, write_table
from recsec.types import IntArray, ItemId

__all__ = ["Catalog"]


@dataclass(frozen=True, eq=False)
class Catalog(ItemTable):
    """N items in a fixed order; index i in 1..N is row i - 1 of ``ids``, 0 is padding.

    Attributes:
        table: columns ``id`` (Int64 or String, unique), ``title`` (String), ``genres``
            (List[String], may be empty) and ``year`` (Int64, null where unknown).
    """

    table: pl.DataFrame

    @classmethod
    def from_ids(cls, ids: Sequence[ItemId]) -> Catalog:
        """A catalog of bare ids; titles are the ids themselves."""
        series = pl.Series("id", list(ids))
        return cls(
            pl.DataFrame(
                {
                    "id": series,
                    "title": series.cast(pl.String),
                    "genres": pl.Series([[]] * len(series), dtype=pl.List(pl.String)),
                    "year": pl.Series([None] * len(series), dtype=pl.Int64),
                }
            )
        )

    @classmethod
    def load(cls, path: Path) -> Catalog:
        """Read ``items.parquet``.

        Raises:
            DataError: the file is missing, broken, or lacks a column that is one of a catalog.
        """
        try:
            table = read_table(path, ours=False)
        except RunError as error:
            raise DataError(f"cannot read the item table: {error.message}") from error
        missing = {"id", "title", "genres", "year"} - set(table.columns)
        if missing:
            raise DataError(f"the item table {path} lacks the columns {sorted(missing)}")
        wrong = _misfits(table)
        if wrong:
            raise DataError(f"the item table {path} is broken: {wrong}")
        return cls(table)

    @cached_property
    def genres(self) -> list[list[str]]:
        """Genres of each item ``(N,)``; empty where the data has none."""
        return self.table["genres"].to_list()

    @cached_property
    def genre_names(self) -> list[str]:
        """All genres, sorted."""
        return sorted({genre for item in self.genres for genre in item})

    @cached_property
    def genre_matrix(self) -> npt.NDArray[np.bool_]:
        """``(N + 1, G)`` bool, row 0 (padding) empty."""
        column = {name: g for g, name in enumerate(self.genre_names)}
        matrix = np.zeros((len(self) + 1, len(column)), dtype=bool)
        for row, names in enumerate(self.genres, start=1):
            for name in names:
                matrix[row, column[name]] = True
        return matrix

    @cached_property
    def years(self) -> IntArray:
        """Release years ``(N + 1,)``, 0 where unknown and for padding."""
        return np.concatenate([[0], self.table["year"].fill_null(0).to_numpy()]).astype(np.int64)

    def index(self, items: Sequence[ItemId]) -> IntArray:
        """Catalog indices of external ids.

        Raises:
            DataError: an id is not in the catalog (it is named).
        """
        return self._find(items, among="items of the catalog") + 1

    def known(self, items: Sequence[ItemId]) -> tuple[list[ItemId], list[ItemId]]:
        """External ids in two parts, each in their order: those that are items, and the others."""
        return (
            [item for item in items if item in self._row],
            [item for item in items if item not in self._row],
        )

    def external(self, indices: IntArray) -> list[ItemId]:
        """External ids of a vector of catalog indices; padding (0) is left out."""
        kept = np.asarray(indices)
        chosen: list[ItemId] = self.ids[kept[kept > 0] - 1].tolist()
        return chosen

    def title(self, index: int) -> str:
        """The title of one catalog index."""
        return self.titles[index - 1]

    def save(self, path: Path) -> None:
        """Write ``items.parquet``, with a check sum inside."""
        write_table(path, self.table)


def _misfits(table: pl.DataFrame) -> str:
    """The first thing that keeps a table from being a catalog; empty where there is none."""
    ids = table["id"]
    if not (ids.dtype.is_integer() or ids.dtype == pl.String):
        return f"ids are {ids.dtype}, neither integers nor text"
    if ids.null_count() or ids.n_unique() < len(ids):
        return "an id is missing or stands twice"
    for name, kind in (("title", pl.String), ("genres", pl.List(pl.String)), ("year", pl.Int64)):
        if table[name].dtype != kind:
            return f"{name} is {table[name].dtype}, expected {kind}"
    return ""

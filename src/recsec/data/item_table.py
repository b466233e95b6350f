"""What a catalog of items and one of photos share: a table of external ids and titles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.errors import DataError
from recsec.types import IntArray, ItemId

__all__ = ["ItemTable"]


class ItemTable:
    """N items, one a row of ``table``: columns ``id`` (Int64 or String, unique), ``title``."""

    table: pl.DataFrame

    def __len__(self) -> int:
        """N."""
        return self.table.height

    @cached_property
    def ids(self) -> npt.NDArray[np.generic]:
        """External ids ``(N,)``."""
        return self.table["id"].to_numpy()

    @cached_property
    def titles(self) -> list[str]:
        """Titles ``(N,)`` in the order of ``ids``."""
        return self.table["title"].to_list()

    @cached_property
    def _row(self) -> dict[ItemId, int]:
        return {item: row for row, item in enumerate(self.table["id"].to_list())}

    def _find(self, items: Sequence[ItemId], *, among: str, hint: str | None = None) -> IntArray:
        """Rows ``(B,)`` of external ids; ``among`` and ``hint`` are for the message.

        Raises:
            DataError: an id is not in the table (it is named).
        """
        try:
            return np.array([self._row[item] for item in items], dtype=np.int64)
        except KeyError as error:
            kind = "numbers" if self.table["id"].dtype.is_integer() else "strings"
            raise DataError(
                f"item {error.args[0]!r} is not among the {len(self):,} {among} "
                f"(ids are {kind}, such as {self.table['id'][0]!r})",
                hint=hint,
            ) from error

    def parse_id(self, text: str) -> ItemId:
        """The external id written as ``text``: a number where ids are numbers.

        Only the plain way to write a number is that number: ``" 108 "``, ``"+108"``, ``"0108"`` and
        ``"1_08"`` are not 108.

        Raises:
            DataError: ids are numbers, and this is none.
        """
        if not self.table["id"].dtype.is_integer():
            return text
        if re.fullmatch("0|-?[1-9][0-9]{0,18}", text) is None:
            raise DataError(f"{text!r} is not an item id: ids of this catalog are numbers")
        return int(text)

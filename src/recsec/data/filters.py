"""Which interactions count: rules with defaults, and a report of what each of them removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from recsec.types import FloatArray, IntArray

__all__ = ["LEFT_OUT", "REPEATS", "UNDESCRIBED", "Filters", "Report", "Step", "kept_rows"]

LEFT_OUT = "rows left out because they do not fit: "
"""How the note of a reader on them begins."""
UNDESCRIBED = "items of the data that the catalog does not describe: "
"""How the note on a catalog begins."""
REPEATS = "repeated user-item pairs"
"""The rule that drops them, as steps call it."""


class Filters(BaseModel):
    """Rules applied in this order; the defaults give MovieLens-1M its usual 3,416 items.

    Attributes:
        min_rating: rows rated lower are dropped; rows without a rating stay while this is 0.
        repeats: ``drop`` keeps the first time that a user met an item. History is excluded from
            lists, so a repeated item could never be recommended.
        min_item: rows of items with fewer rows are dropped, once.
        min_user: then rows of users with fewer rows, once.
        core: repeat the two until nothing changes (the k-core of the literature).
        min_length: at last, users with fewer rows are dropped; leave-one-out needs 3.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_rating: float = Field(default=0.0, ge=0)
    repeats: Literal["drop", "keep"] = "drop"
    min_item: int = Field(default=5, ge=1)
    min_user: int = Field(default=5, ge=1)
    core: bool = False
    min_length: int = Field(default=3, ge=1)


@dataclass(frozen=True)
class Step:
    """What one rule removed: rows, and users and items of which nothing was left.

    Attributes:
        rule: what was removed, in words: ``items with fewer than 5 rows``.
    """

    rule: str
    rows: int
    users: int
    items: int


@dataclass(frozen=True)
class Report:
    """What happened between the file and the data set.

    Attributes:
        rows: interactions read.
        steps: the filters in the order in which they ran.
        notes: what a reader must know (order-only times, rows sorted, unknown titles).
    """

    rows: int
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def dropped(self) -> int:
        """Rows removed by all filters together."""
        return sum(step.rows for step in self.steps)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The notes on rows that did not fit."""
        return tuple(text for text in self.notes if text.startswith(LEFT_OUT))

    @property
    def undescribed(self) -> tuple[str, ...]:
        """The note on items that a catalog lacks."""
        return tuple(text for text in self.notes if text.startswith(UNDESCRIBED))

    def to_json(self) -> dict[str, Any]:
        """For ``--json`` and run directories."""
        return {
            "rows_read": self.rows,
            "rows_dropped": self.dropped,
            "filters": [vars(step) for step in self.steps],
            "notes": list(self.notes),
        }


def kept_rows(
    users: IntArray, items: IntArray, ratings: FloatArray | None, filters: Filters
) -> tuple[IntArray, tuple[Step, ...]]:
    """The rows that pass, and what each rule removed.

    Args:
        users: ``(R,)`` codes from 0, in any order of users, each user's rows oldest first.
        items: ``(R,)`` codes from 0.
        ratings: ``(R,)``, NaN where a row has none; None if the data has no ratings.
        filters: the rules.

    Returns:
        Row numbers ``(R',)`` int64, increasing, and one step for each rule.
    """
    rows = np.arange(len(users), dtype=np.int64)
    steps: list[Step] = []

    def apply(rule: str, keep: npt.NDArray[np.bool_]) -> None:
        nonlocal rows
        before = _sizes(users[rows], items[rows])
        rows = rows[keep]
        after = _sizes(users[rows], items[rows]) if not keep.all() else before
        steps.append(Step(rule, *(was - now for was, now in zip(before, after, strict=True))))

    if filters.min_rating > 0:
        kept = np.zeros(len(rows), dtype=bool) if ratings is None else ratings >= filters.min_rating
        apply(f"rating below {filters.min_rating:g}", kept)
    if filters.repeats == "drop":
        pairs = users[rows].astype(np.int64) * (int(items.max(initial=0)) + 1) + items[rows]
        apply(REPEATS, pl.Series(pairs).is_first_distinct().to_numpy())
    while True:
        size = len(rows)
        apply(
            f"items with fewer than {filters.min_item} rows",
            _frequent(items[rows], filters.min_item),
        )
        apply(
            f"users with fewer than {filters.min_user} rows",
            _frequent(users[rows], filters.min_user),
        )
        if not filters.core or len(rows) == size:
            break
    apply(
        f"histories shorter than {filters.min_length}", _frequent(users[rows], filters.min_length)
    )
    return rows, tuple(steps)


def _frequent(codes: IntArray, least: int) -> npt.NDArray[np.bool_]:
    """``(R,)`` whether the code of a row occurs ``least`` times or more."""
    enough: npt.NDArray[np.bool_] = (np.bincount(codes) >= least)[codes]
    return enough


def _sizes(users: IntArray, items: IntArray) -> tuple[int, int, int]:
    """Rows, distinct users, distinct items."""
    distinct = [int(np.count_nonzero(np.bincount(codes))) for codes in (users, items)]
    return len(users), distinct[0], distinct[1]

"""Which interactions count: rules with defaults, and a report of what each of them removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

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

PIECE = 4_000_000
"""Rows among which repeats are looked for together."""

Codes: TypeAlias = IntArray | npt.NDArray[np.int32]


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
    users: Codes, items: Codes, ratings: FloatArray | None, filters: Filters
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
    alive = np.ones(len(users), dtype=bool)
    sizes = _sizes(users, items)
    steps: list[Step] = []

    def apply(rule: str, keep: npt.NDArray[np.bool_]) -> None:
        nonlocal users, items, sizes
        before = sizes
        if not keep.all():
            alive[alive] = keep
            users, items = users[keep], items[keep]
            sizes = _sizes(users, items)
        steps.append(Step(rule, *(was - now for was, now in zip(before, sizes, strict=True))))

    if filters.min_rating > 0:
        none = np.zeros(len(users), dtype=bool)
        apply(
            f"rating below {filters.min_rating:g}",
            none if ratings is None else ratings >= filters.min_rating,
        )
    if filters.repeats == "drop":
        apply(REPEATS, _first(users, items))
    while True:
        size = len(users)
        apply(f"items with fewer than {filters.min_item} rows", _frequent(items, filters.min_item))
        apply(f"users with fewer than {filters.min_user} rows", _frequent(users, filters.min_user))
        if not filters.core or len(users) == size:
            break
    apply(f"histories shorter than {filters.min_length}", _frequent(users, filters.min_length))
    return np.flatnonzero(alive), tuple(steps)


def _first(users: Codes, items: Codes) -> npt.NDArray[np.bool_]:
    """``(R,)`` whether a row is the first of its user and item; in pieces of whole users."""
    first, begin, wide = np.empty(len(users), dtype=bool), 0, int(items.max(initial=0)) + 1
    grouped = bool((users[1:] >= users[:-1]).all())
    while begin < len(users):
        end = len(users)
        if grouped and begin + PIECE < end:
            end = int(np.searchsorted(users, users[begin + PIECE], side="right"))
        pairs = users[begin:end].astype(np.int64) * wide + items[begin:end]
        first[begin:end] = pl.Series(pairs).is_first_distinct().to_numpy()
        begin = end
    return first


def _frequent(codes: Codes, least: int) -> npt.NDArray[np.bool_]:
    """``(R,)`` whether the code of a row occurs ``least`` times or more."""
    enough: npt.NDArray[np.bool_] = (np.bincount(codes) >= least)[codes]
    return enough


def _sizes(users: Codes, items: Codes) -> tuple[int, int, int]:
    """Rows, distinct users, distinct items."""
    distinct = [int(np.count_nonzero(np.bincount(codes))) for codes in (users, items)]
    return len(users), distinct[0], distinct[1]

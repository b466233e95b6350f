"""The one table of interactions that everything else is made from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.catalog import Catalog
from recsec.data.filters import Filters, Report, kept_rows
from recsec.data.sequences import Sequences
from recsec.errors import DataError
from recsec.types import IntArray

__all__ = ["Interactions", "Raw", "arrange"]

ORDER_ONLY = 0.9
"""Times are called order-only when this share of the steps inside users is exactly one unit:
clock times of people are not that regular."""

PIECE = 4_000_000
"""Rows that are looked up or sorted together: what they take on the way is not taken by all."""


Whole = TypeVar("Whole", npt.NDArray[np.int32], npt.NDArray[np.int64])


@dataclass(frozen=True, eq=False)
class Raw:
    """What a reader found in a file, before any rule.

    Attributes:
        rows: columns ``user`` and ``item`` (Int64 or String, external ids), ``rating`` (Float32,
            may be null) and ``time`` (Int64, seconds since 1970 or a position, may be null), in
            the order of the file.
        items: columns of ``Catalog.table`` for the items that the file describes; None if it
            describes none.
        notes: what the reader has to say.
    """

    rows: pl.DataFrame
    items: pl.DataFrame | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who met what, in which order; rows are sorted by user, then order.

    Attributes:
        table: columns ``user`` (UInt32, 0..U-1), ``item`` (UInt32, catalog index 1..N),
            ``rating`` (Float32, null where unknown), ``time`` (Int64, null where unknown) and
            ``order`` (UInt32, position in the user's history, from 0).
        users: ``(U,)`` external user ids.
        catalog: the N items.
    """

    table: pl.DataFrame
    users: npt.NDArray[np.generic]
    catalog: Catalog

    def __len__(self) -> int:
        """The number of interactions."""
        return self.table.height

    @cached_property
    def offsets(self) -> IntArray:
        """``(U + 1,)``: user u owns rows ``offsets[u]:offsets[u + 1]``."""
        counts = np.bincount(self.table["user"].to_numpy(), minlength=len(self.users))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def sequences(self) -> Sequences:
        """The users' histories as flat arrays."""
        items = self.table["item"].to_numpy().astype(np.int64)
        return Sequences(self.catalog, items, self.offsets, self.users)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of users, items, order, ratings and times; titles do not count."""
        digest = hashlib.sha256()
        for ids in (self.users, self.catalog.ids):
            digest.update("\n".join(map(str, ids.tolist())).encode() + b"\0")
        for name in ("user", "item", "rating", "time"):
            column = self.table[name]
            digest.update(column.fill_null(-1).to_numpy().tobytes())
            digest.update(str(column.null_count()).encode())
        return digest.hexdigest()


def arrange(raw: Raw, filters: Filters) -> tuple[Interactions, Report, bool]:
    """Sort by user and time, filter, and number users and items.

    Rows with the same time keep the order of the file.

    Returns:
        The interactions, what was dropped, and whether times are clock times.

    Raises:
        DataError: no row was read, or none is left.
    """
    notes = list(raw.notes)
    if raw.rows.height == 0:
        raise DataError("the file holds no interactions")
    user_ids, users = _codes(raw.rows["user"])
    item_ids, items = _codes(raw.rows["item"])
    rating, time = raw.rows["rating"], raw.rows["time"]
    times = time.to_numpy() if time.null_count() == 0 else None
    at = _sorted_rows(users, times)
    if at is not None:
        users = _taken(users, at)
        items = _taken(items, at)
        rating = rating[at] if rating.null_count() < len(rating) else rating
        times = _taken(times, at) if times is not None else None
        time = pl.Series("time", times) if times is not None else time[at]
        if times is not None:
            back = int(((at[1:] < at[:-1]) & (users[1:] == users[:-1])).sum())
            if back:
                notes.append(
                    f"rows that followed a later one of their user, now sorted by time: {back:,}"
                )
    real = times is not None and _clock(users, times)
    if times is None:
        notes.append("no times: the order of the rows is the order of events")
    elif not real:
        notes.append("times are positions, not clock times: order only, no spans or activity")

    rated = filters.min_rating > 0 and rating.null_count() < len(rating)
    ratings = _floats(rating) if rated else None
    kept, steps = kept_rows(users, items, ratings, filters)
    report = Report(raw.rows.height, steps, tuple(notes))
    if len(kept) == 0:
        removed = ", ".join(f"{step.rule}: {step.rows:,} rows" for step in steps if step.rows)
        raise DataError(f"no interaction is left after the filters ({removed})")
    if len(kept) < len(users):
        users, items, rating, time = users[kept], items[kept], rating[kept], time[kept]
    del kept, at, times, ratings
    chosen_users, users = _renumber(users, user_ids.len())
    chosen_items, items = _renumber(items, item_ids.len())
    starts = np.flatnonzero(np.diff(users, prepend=-1)).astype(np.uint32)
    order = np.arange(len(users), dtype=np.uint32)
    order -= np.repeat(starts, np.diff(starts, append=np.uint32(len(users))))
    table = pl.DataFrame(
        {
            "user": users.view(np.uint32),
            "item": (items + np.int32(1)).view(np.uint32),
            "rating": rating,
            "time": time,
            "order": order,
        }
    )
    catalog = _catalog(item_ids[chosen_items], raw.items)
    return Interactions(table, user_ids[chosen_users].to_numpy(), catalog), report, real


def _codes(ids: pl.Series) -> tuple[pl.Series, npt.NDArray[np.int32]]:
    """Distinct ids in sorted order, and the place of each row's id among them."""
    known = ids.unique().sort()
    places = known.to_frame("id").with_row_index("code")
    codes = np.empty(len(ids), dtype=np.int32)
    for begin in range(0, len(ids), PIECE):
        piece = ids.slice(begin, PIECE).to_frame("id")
        found = piece.join(places, on="id", how="left", maintain_order="left")["code"]
        codes[begin : begin + PIECE] = found.to_numpy()
    return known, codes


def _sorted_rows(
    users: npt.NDArray[np.int32], times: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.uint32] | None:
    """Row numbers by user, then time, then place in the file; None if they already are."""
    same = users[1:] == users[:-1]
    if times is not None:
        same &= times[1:] >= times[:-1]
    if bool((same | (users[1:] > users[:-1])).all()):
        return None
    at, done, low = np.empty(len(users), dtype=np.uint32), 0, 0
    ends = np.cumsum(np.bincount(users))
    while low < len(ends):  # as many users as have a piece of the rows
        high = max(low + 1, int(np.searchsorted(ends, done + PIECE, side="right")))
        rows = np.flatnonzero((users >= low) & (users < high))
        keys = {"user": users[rows]} | ({} if times is None else {"time": times[rows]})
        order = pl.DataFrame(keys).select(pl.arg_sort_by(*keys, maintain_order=True)).to_series()
        at[done : done + len(rows)] = rows[order.to_numpy()]
        done, low = done + len(rows), high
    return at


def _taken(values: Whole, at: npt.NDArray[np.uint32]) -> Whole:
    """``values[at]``, in pieces: numpy takes eight bytes for each place on the way."""
    found = np.empty_like(values)
    for begin in range(0, len(at), PIECE):
        found[begin : begin + PIECE] = values[at[begin : begin + PIECE]]
    return found


def _clock(users: npt.NDArray[np.int32], times: npt.NDArray[np.int64]) -> bool:
    """Whether times look like a clock rather than like positions or one constant."""
    steps = np.diff(times)[users[1:] == users[:-1]]
    if len(steps) == 0:
        return bool(times.min() != times.max())
    return bool((steps == 1).mean() < ORDER_ONLY and steps.any())


def _floats(ratings: pl.Series) -> npt.NDArray[np.float64]:
    return ratings.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _renumber(codes: npt.NDArray[np.int32], size: int) -> tuple[IntArray, npt.NDArray[np.int32]]:
    """Codes that occur, and every row's code numbered among those."""
    chosen = np.flatnonzero(np.bincount(codes, minlength=size))
    place = np.zeros(size, dtype=np.int32)
    place[chosen] = np.arange(len(chosen), dtype=np.int32)
    return chosen, place[codes]


def _catalog(ids: pl.Series, items: pl.DataFrame | None) -> Catalog:
    """The chosen items with what the file says about them; a title is the id where it is silent."""
    bare = Catalog.from_ids(ids.to_list()).table
    if items is None:
        return Catalog(bare)
    known = bare.select("id").join(items, on="id", how="left", maintain_order="left")
    return Catalog(
        known.select(
            "id",
            pl.col("title").fill_null(pl.col("id").cast(pl.String)),
            pl.col("genres").fill_null(pl.lit([], dtype=pl.List(pl.String))),
            pl.col("year").cast(pl.Int64),
        )
    )

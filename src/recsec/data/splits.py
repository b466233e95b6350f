"""Splitting by clock time: everybody's past on one side of an instant, the future on the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsec.data.interactions import Interactions
from recsec.data.sequences import Sequences
from recsec.errors import DataError

__all__ = ["TimeSplit", "split_by_time"]


@dataclass(frozen=True, eq=False)
class TimeSplit:
    """Three parts of the same users; a user may have nothing in a part.

    Attributes:
        train: before ``valid_from``.
        valid: from ``valid_from`` to before ``test_from``.
        test: from ``test_from`` on.
        valid_from: seconds since 1970.
        test_from: seconds since 1970.
    """

    train: Sequences
    valid: Sequences
    test: Sequences
    valid_from: int
    test_from: int


def split_by_time(
    interactions: Interactions, *, valid: float = 0.1, test: float = 0.1
) -> TimeSplit:
    """Split so that about the newest ``test`` share of all rows is the test part.

    Rows of the same second stay together, so the shares are met from below.

    Args:
        interactions: with clock times; ``Dataset.time_split`` checks that.
        valid: share of rows just before the test part.
        test: share of the newest rows.

    Raises:
        DataError: shares that leave no training part, or times so alike that a part is empty.
    """
    if min(valid, test) <= 0 or valid + test >= 1:
        raise DataError(
            f"shares valid={valid:g} and test={test:g} must be positive, below 1 in sum"
        )
    times = np.sort(interactions.table["time"].to_numpy())
    cuts = [int(len(times) * share) for share in (1 - valid - test, 1 - test)]
    valid_from, test_from = (int(_next_instant(times, cut)) for cut in cuts)
    time = pl.col("time")
    between = (time >= valid_from) & (time < test_from)
    split = TimeSplit(
        train=_part(interactions, time < valid_from),
        valid=_part(interactions, between),
        test=_part(interactions, time >= test_from),
        valid_from=valid_from,
        test_from=test_from,
    )
    if any(len(part.items) == 0 for part in (split.train, split.valid, split.test)):
        raise DataError("too many interactions share one time: a part of the split would be empty")
    return split


def _next_instant(times: np.ndarray, cut: int) -> int:
    """The first time at or after the cut that no row before the cut has."""
    place = int(np.searchsorted(times, times[cut], side="left"))
    if place < cut:
        place = int(np.searchsorted(times, times[cut], side="right"))
    return int(times[place]) if place < len(times) else int(times[-1]) + 1


def _part(interactions: Interactions, rule: pl.Expr) -> Sequences:
    rows = interactions.table.filter(rule)
    counts = np.bincount(rows["user"].to_numpy(), minlength=len(interactions.users))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    items = rows["item"].to_numpy().astype(np.int64)
    return Sequences(interactions.catalog, items, offsets, interactions.users)

"""Users' histories as flat arrays, and the leave-one-out protocol on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from recsec.data.catalog import Catalog
from recsec.errors import DataError
from recsec.types import IntArray

__all__ = ["Batch", "Sequences", "Split", "Stage", "leave_one_out", "pad"]

Stage = Literal["valid", "test"]


def pad(histories: Iterable[Sequence[int] | IntArray], *, length: int | None = None) -> IntArray:
    """Stack histories into ``(B, L)``, zeros on the right; keeps the newest ``length`` items.

    >>> pad([[1, 2, 3], [4]], length=2)
    array([[2, 3],
           [4, 0]])
    """
    rows = [np.asarray(row, dtype=np.int64) for row in histories]
    if length is not None:
        rows = [row[-length:] for row in rows]
    width = max((len(row) for row in rows), default=0)
    out = np.zeros((len(rows), width), dtype=np.int64)
    for at, row in enumerate(rows):
        out[at, : len(row)] = row
    return out


@dataclass(frozen=True, eq=False)
class Sequences:
    """U users' items in order.

    Attributes:
        catalog: the N items.
        items: ``(T,)`` int64 catalog indices, user after user, oldest first.
        offsets: ``(U + 1,)`` int64; user u owns ``items[offsets[u]:offsets[u + 1]]``.
        users: ``(U,)`` external user ids.
    """

    catalog: Catalog
    items: IntArray
    offsets: IntArray
    users: npt.NDArray[np.generic]

    @classmethod
    def from_lists(cls, catalog: Catalog, rows: Sequence[Sequence[int]]) -> Sequences:
        """From lists of catalog indices; users are numbered from 0."""
        offsets = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        parts = [np.asarray(row, dtype=np.int64) for row in rows]
        flat = np.concatenate([np.empty(0, dtype=np.int64), *parts])
        return cls(catalog, flat, offsets, np.arange(len(rows)))

    def __len__(self) -> int:
        """U, the number of users."""
        return len(self.offsets) - 1

    def __getitem__(self, user: int) -> IntArray:
        """The items of user number ``user``."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def __iter__(self) -> Iterator[IntArray]:
        return (self[user] for user in range(len(self)))

    @cached_property
    def lengths(self) -> IntArray:
        """``(U,)`` items per user."""
        return np.diff(self.offsets)

    @cached_property
    def counts(self) -> IntArray:
        """``(N + 1,)`` how often each catalog index occurs."""
        return np.bincount(self.items, minlength=len(self.catalog) + 1)

    def select(self, users: IntArray) -> Sequences:
        """The users of these numbers ``(V,)``, in this order."""
        lengths = self.lengths[users]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        place = np.repeat(self.offsets[users] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Sequences(self.catalog, self.items[place], offsets, self.users[users])

    def drop_last(self, count: int) -> Sequences:
        """The same users without their last ``count`` items."""
        keep = np.ones(len(self.items), dtype=bool)
        for back in range(1, count + 1):
            keep[self.offsets[1:] - back] = False
        offsets = self.offsets - count * np.arange(len(self) + 1)
        return Sequences(self.catalog, self.items[keep], offsets, self.users)


@dataclass(frozen=True)
class Batch:
    """Some users' histories and the item that each of them chose next.

    Attributes:
        users: ``(B,)`` user numbers.
        histories: ``(B, L)`` int64, zeros on the right, whole histories.
        targets: ``(B,)`` int64 catalog indices.
    """

    users: IntArray
    histories: IntArray
    targets: IntArray


@dataclass(frozen=True, eq=False)
class Split:
    """Leave-one-out: the last item is the test target, the one before it the validation target."""

    full: Sequences

    @property
    def catalog(self) -> Catalog:
        """The items."""
        return self.full.catalog

    @cached_property
    def train(self) -> Sequences:
        """Everything but the last two items of each user."""
        return self.full.drop_last(2)

    def targets(self, stage: Stage) -> IntArray:
        """``(U,)`` the held-out item of each user."""
        return self.full.items[self.full.offsets[1:] - (1 if stage == "test" else 2)]

    def history(self, stage: Stage, user: int) -> IntArray:
        """What is known of a user before the held-out item (for test: train and validation)."""
        return self.full[user][: -1 if stage == "test" else -2]

    def batches(
        self, stage: Stage, *, size: int = 256, users: IntArray | None = None
    ) -> Iterator[Batch]:
        """Users in order (or those given), ``size`` at a time."""
        chosen = np.arange(len(self.full)) if users is None else users
        targets = self.targets(stage)
        for start in range(0, len(chosen), size):
            part = chosen[start : start + size]
            histories = pad(self.history(stage, int(user)) for user in part)
            yield Batch(part, histories, targets[part])


def leave_one_out(sequences: Sequences) -> Split:
    """Split by position: the protocol of DESIGN.md, rule 4.

    Raises:
        DataError: a user has fewer than three items.
    """
    if len(sequences) == 0:
        raise DataError("no user is left to split", hint="loosen the filters")
    if int(sequences.lengths.min()) < 3:
        short = int((sequences.lengths < 3).sum())
        raise DataError(
            f"{short} of {len(sequences)} users have fewer than 3 items; leave-one-out needs 3",
            hint="filter with min_length=3",
        )
    return Split(sequences)

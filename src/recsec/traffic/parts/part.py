"""Parts of a log: what detectors need of it, in the order of asking."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recsec.data.catalog import Catalog
from recsec.traffic.log import QueryLog
from recsec.types import IntArray

__all__ = ["Part", "Queries", "Shard", "WholeLog"]

BLOCK = 16_384
"""Rows of a log in memory that make a part."""


@dataclass(frozen=True)
class Shard:
    """Some of the accounts: those whose name's CRC-32 leaves this remainder.

    Attributes:
        at: which, from 0.
        of: how many shards there are.
    """

    at: int
    of: int

    def owns(self, names: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of these accounts belong to it ``(n,)``."""
        mine = (zlib.crc32(name.encode()) % self.of == self.at for name in names)
        return np.fromiter(mine, dtype=np.bool_, count=len(names))


@dataclass(frozen=True, eq=False)
class Part:
    """Some queries of a log, in the order of asking.

    Attributes:
        log: holds them, and what they extend.
        rows: ``(n,)`` where they stand there.
        parents: ``(n,)`` in the whole log, the number of the query that each extends; -1 for none.
    """

    log: QueryLog
    rows: IntArray
    parents: IntArray

    def __len__(self) -> int:
        """The number of queries."""
        return len(self.rows)

    def slice(self, begin: int, end: int | None = None) -> Part:
        """Some of them."""
        return Part(self.log, self.rows[begin:end], self.parents[begin:end])


class Queries(Protocol):
    """A log as it is watched."""

    @property
    def catalog(self) -> Catalog:
        """The items."""
        ...

    @property
    def faults(self) -> tuple[str, ...]:
        """What was wrong with it, known when all parts were read."""
        ...

    def __len__(self) -> int:
        """The number of queries."""
        ...

    def parts(self, shard: Shard | None = None) -> Iterator[Part]:
        """All queries, or those of a shard."""
        ...

    def of(self, accounts: Collection[str]) -> QueryLog:
        """The queries of some accounts, with what they extend."""
        ...


class WholeLog:
    """A log in memory."""

    def __init__(self, log: QueryLog) -> None:
        self.log = log
        self.catalog, self.faults = log.catalog, log.faults

    def __len__(self) -> int:
        return len(self.log)

    def parts(self, shard: Shard | None = None) -> Iterator[Part]:
        """See ``Queries.parts``."""
        for rows in self.log.blocks(BLOCK):
            names = self.log.calls.account[int(rows[0]) : int(rows[-1]) + 1]
            mine = rows if shard is None else rows[shard.owns(names)]
            yield Part(self.log, mine, self.log.calls.parent[mine])

    def of(self, accounts: Collection[str]) -> QueryLog:
        """See ``Queries.of``: all of it."""
        return self.log

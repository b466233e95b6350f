"""A log to which a service adds an entry for each query that it answered, read to its newest entry.

An entry has the fields of a log: ``account`` and ``items``, the whole history that was sent, and
perhaps ``answer`` and ``k``; lists are JSON arrays, or ids with blanks between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import polars as pl

from recsec.data.catalog import Catalog
from recsec.data.sources.tables import Dialect, OpenTable, Typed
from recsec.traffic.log import FIELDS, UNKNOWN, QueryLog
from recsec.traffic.parts.parquet import joined, part_of, with_ancestors
from recsec.traffic.parts.part import Part, Shard

__all__ = ["READ", "StreamLog"]

READ = ("account", "items", "answer")
"""Fields of an entry that are read."""

LOST = "entries that were removed before they were read: the state knows nothing of them"
DAMAGED = "entries that are no JSON object, left out: {:,}"
LEFT_OUT = "entries without an account or without items, left out: {:,}"


class StreamLog(ABC):
    """The entries that a stream holds when it is opened.

    Args:
        name: how it is called, without passwords.
        catalog: the items.
        after: the place after which it begins; at its beginning if None.
        read: how many entries had been added up to there.

    Attributes:
        read: how many had been added up to the last one that ``entries`` gave.
    """

    def __init__(self, name: str, catalog: Catalog, *, after: str | None, read: int) -> None:
        self.name, self.catalog, self.after, self.read = name, catalog, after, read
        self._lost, self._length = False, 0
        self._found: Counter[str] = Counter()

    @abstractmethod
    def entries(self, after: str | None = None) -> Iterator[tuple[str, Part]]:
        """Parts, each with the place in the stream that it ends with.

        Raises:
            DataError: the stream cannot be read.
        """

    @property
    def faults(self) -> tuple[str, ...]:
        """See ``Queries.faults``; of what was read."""
        counted = (DAMAGED, LEFT_OUT, UNKNOWN)
        words = [text.format(self._found[text]) for text in counted if self._found[text]]
        return (*([LOST] if self._lost else []), *words)

    def __len__(self) -> int:
        return self._length

    def _part(self, rows: Sequence[Sequence[str | None]], ids: Sequence[str]) -> Part:
        """The queries of some entries, by their fields ``READ`` and how errors call each."""
        frame = pl.DataFrame(rows, schema=dict.fromkeys(READ, pl.String), orient="row")
        whole = pl.col("account").is_not_null() & pl.col("items").is_not_null()
        kept = frame.select(whole).to_series()
        self._found[LEFT_OUT] += frame.height - int(kept.sum())
        if not kept.any():
            return Part(joined(self.catalog, []), np.zeros(0, np.int64), np.zeros(0, np.int64))
        places = [number for number, keep in zip(ids, kept.to_list(), strict=True) if keep]
        mine = frame.filter(kept)
        one = Typed(self.name, READ, mine.select, lambda row: f"entry {places[row]}")
        chosen = {name: name for name in READ}
        read = OpenTable(self.name, (one,), Dialect()).read(FIELDS, chosen).rows
        number = pl.int_range(read.height, dtype=pl.Int64)
        return part_of(read.with_columns(number=number, call=number), self.catalog, self._found)

    def parts(self, shard: Shard | None = None) -> Iterator[Part]:
        """See ``Queries.parts``."""
        for _, part in self.entries(self.after):
            if shard is None:
                yield part
            else:
                names = [part.log.calls.account[row] for row in part.rows.tolist()]
                mine = shard.owns(names)
                yield Part(part.log, part.rows[mine], part.parents[mine])

    def of(self, accounts: Collection[str]) -> QueryLog:
        """See ``Queries.of``: of what the stream still holds."""
        wanted, kept, before = set(accounts), [], (self._found.copy(), self.read)
        for _, part in self.entries():
            mine = [part.log.calls.account[row] in wanted for row in part.rows.tolist()]
            if any(mine):
                kept.append(with_ancestors(part.log, part.rows[np.array(mine)]))
        self._found, self.read = before
        return joined(self.catalog, kept)

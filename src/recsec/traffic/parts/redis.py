"""A log as a stream of Redis, to which a service adds an entry for each query that it answered.

An entry has the fields of a log: ``account`` and ``items``, the whole history that was sent, and
perhaps ``answer`` and ``k``; lists are JSON arrays, or ids with blanks between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import numpy as np
import polars as pl

from recsec.data.catalog import Catalog
from recsec.data.sources.tables import Dialect, OpenTable, Typed
from recsec.errors import ConfigError, DataError
from recsec.traffic.log import FIELDS, UNKNOWN, QueryLog
from recsec.traffic.parts.parquet import joined, part_of, with_ancestors
from recsec.traffic.parts.part import Part, Shard

__all__ = ["RedisLog", "is_stream"]

BATCH = 10_000
"""Entries that are read together."""

READ = ("account", "items", "answer")

TRIMMED = "entries that Redis removed before they were read: the state knows nothing of them"
LEFT_OUT = "entries without an account or without items, left out: {:,}"


def is_stream(log: str) -> bool:
    """Whether a log is a stream rather than a file.

    >>> is_stream("redis://localhost:6379/0?stream=queries"), is_stream("log.parquet")
    (True, False)
    """
    return log.startswith(("redis://", "rediss://", "unix://"))


class RedisLog:
    """The entries that a stream holds when it is opened.

    Args:
        url: as clients of Redis take it, and ``?stream=NAME``; ``recsec`` by default.
        catalog: the items.
        after: the entry after which it begins; all of them if None.
        read: how many had been added up to there.

    Attributes:
        read: how many had been added up to the last one that ``entries`` gave.

    Raises:
        ConfigError: the package is missing.
        DataError: there is no Redis, or no such stream.
    """

    def __init__(
        self, url: str, catalog: Catalog, *, after: str | None = None, read: int = 0
    ) -> None:
        try:
            import redis
        except ImportError as error:
            raise ConfigError(
                "a log in Redis needs the package redis", hint="pip install 'recsec[serve]'"
            ) from error
        parts = urlsplit(url)
        self.catalog, self.after, self._redis = catalog, after, redis
        self.stream = parse_qs(parts.query).get("stream", ["recsec"])[0]
        place = f"{parts.hostname or ''}:{parts.port or 6379}{parts.path}"
        self.name = f"{parts.scheme}://{place}?stream={self.stream}"
        self._client: Any = redis.Redis.from_url(
            urlunsplit(parts._replace(query="")), decode_responses=True, socket_timeout=30
        )
        with self._reading():
            if not self._client.exists(self.stream):
                raise DataError(
                    f"{self.name}: there is no such stream",
                    hint="name it: redis://HOST:6379/0?stream=NAME",
                )
            told = self._client.xinfo_stream(self.stream)
        self.last: str = told["last-generated-id"]
        self._length: int = told["length"]
        removed = told.get("entries-added", self._length) - self._length
        self._lost = after is not None and removed > read
        self.read: int = max(read, removed)
        self._found: Counter[str] = Counter()

    @property
    def faults(self) -> tuple[str, ...]:
        """See ``Queries.faults``; of what was read."""
        counted = (LEFT_OUT, UNKNOWN)
        words = [text.format(self._found[text]) for text in counted if self._found[text]]
        return (*([TRIMMED] if self._lost else []), *words)

    def __len__(self) -> int:
        return self._length

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except self._redis.RedisError as error:
            raise DataError(
                f"cannot read {self.name}: {error}",
                hint="the same command goes on where it stopped, if it has a --state",
            ) from error

    def entries(self, after: str | None = None) -> Iterator[tuple[str, Part]]:
        """Parts, each with the entry that it ends with."""
        at = after
        while at != self.last:
            with self._reading():
                found = self._client.xrange(
                    self.stream, f"({at}" if at else "-", self.last, count=BATCH
                )
            if not found:
                return
            at, self.read = found[-1][0], self.read + len(found)
            columns = {name: [entry.get(name) for _, entry in found] for name in READ}
            frame = pl.DataFrame(columns, schema=dict.fromkeys(READ, pl.String))
            ids = [number for number, _ in found]
            yield at, self._part(frame, ids)

    def _part(self, frame: pl.DataFrame, ids: list[str]) -> Part:
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

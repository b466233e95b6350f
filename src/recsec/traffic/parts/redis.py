"""A log as a stream of Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, DataError
from recsec.traffic.parts.part import Part
from recsec.traffic.parts.stream import READ, StreamLog

__all__ = ["RedisLog"]

BATCH = 10_000
"""Entries that are read together."""


class RedisLog(StreamLog):
    """The entries that a stream holds when it is opened; see ``StreamLog``.

    Args:
        url: as clients of Redis take it, and ``?stream=NAME``; ``recsec`` by default.
        catalog: the items.
        after: the entry after which it begins; all of them if None.
        read: how many had been added up to there.

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
        self._redis = redis
        self.stream = parse_qs(parts.query).get("stream", ["recsec"])[0]
        place = f"{parts.hostname or ''}:{parts.port or 6379}{parts.path}"
        name = f"{parts.scheme}://{place}?stream={self.stream}"
        super().__init__(name, catalog, after=after, read=read)
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
        self._length = told["length"]
        removed = told.get("entries-added", self._length) - self._length
        self._lost = after is not None and removed > read
        self.read = max(read, removed)

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
        """See ``StreamLog.entries``: the place is the newest entry."""
        at = after
        while at != self.last:
            with self._reading():
                found = self._client.xrange(
                    self.stream, f"({at}" if at else "-", self.last, count=BATCH
                )
            if not found:
                return
            at, self.read = found[-1][0], self.read + len(found)
            rows = [[entry.get(name) for name in READ] for _, entry in found]
            yield at, self._part(rows, [number for number, _ in found])

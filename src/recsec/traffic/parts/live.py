"""Which logs are streams, and which reader takes each."""

from __future__ import annotations

from recsec.data.catalog import Catalog
from recsec.traffic.parts.kafka import KafkaLog
from recsec.traffic.parts.redis import RedisLog
from recsec.traffic.parts.stream import StreamLog

__all__ = ["is_stream", "open_stream"]


def is_stream(log: str) -> bool:
    """Whether a log is a stream rather than a file.

    >>> is_stream("redis://localhost:6379/0?stream=queries"), is_stream("log.parquet")
    (True, False)
    """
    return log.startswith(("kafka://", "redis://", "rediss://", "unix://"))


def open_stream(
    url: str, catalog: Catalog, *, after: str | None = None, read: int = 0
) -> StreamLog:
    """The reader of a stream; see ``KafkaLog``, ``RedisLog``."""
    kind = KafkaLog if url.startswith("kafka://") else RedisLog
    return kind(url, catalog, after=after, read=read)

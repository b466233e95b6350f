"""A client of Redis that gives up soon."""

from __future__ import annotations

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from recsec.errors import ConfigError

__all__ = ["PATIENCE", "connect"]

PATIENCE = 0.5
"""Seconds that an answer of Redis may take."""


def connect(url: str) -> Redis:
    """A client that gives up soon.

    Raises:
        ConfigError: an address that is none.
    """
    try:
        return Redis.from_url(
            url,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise ConfigError(
            f"{url!r} is no address of Redis", hint="as in redis://localhost:6379/0"
        ) from error

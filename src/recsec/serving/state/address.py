"""Where a state lies: a SQLite file, or a PostgreSQL server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from recsec.errors import ConfigError

__all__ = ["engine_of", "is_url"]

EXAMPLE = "a folder, or postgresql://USER@HOST/NAME"
KINDS = ("postgresql", "postgres")
CONNECT = 3
"""Seconds to reach a database server."""

WAIT = 10_000
"""Milliseconds that a writer waits for another process."""


def is_url(place: str | Path) -> bool:
    """Whether a place is the address of a database, and no folder."""
    return "://" in str(place)


def engine_of(place: Path | str) -> tuple[Engine, str]:
    """An engine for a SQLite file or an address, and how the place is called without passwords.

    Raises:
        ConfigError: an address that is none.
    """
    if isinstance(place, Path):
        engine = create_engine(f"sqlite:///{place}")
        event.listen(engine, "connect", _prepare)
        return engine, str(place)
    url = _url(place)
    return _server(url), url.set(drivername=KINDS[0]).render_as_string(hide_password=True)


def _url(place: str) -> URL:
    try:
        url = make_url(place)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(f"{place!r} is no address of a database", hint=EXAMPLE) from error
    if url.drivername not in KINDS:
        raise ConfigError(f"{url.drivername} is no kind of state", hint=EXAMPLE)
    return url.set(drivername="postgresql+psycopg")


def _server(url: URL) -> Engine:
    """An engine that notices within seconds that its server is away, and when it is back."""
    told = {
        "connect_timeout": CONNECT,
        "tcp_user_timeout": 1000 * CONNECT,
        "options": f"-c statement_timeout={WAIT} -c lock_timeout={WAIT}",
    }
    return create_engine(
        url, connect_args=told, pool_pre_ping=True, pool_size=4, pool_timeout=WAIT / 1000
    )


def _prepare(connection: Any, _: Any) -> None:
    """Of each new connection: readers and a writer at a time, and what is written is on disk."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA busy_timeout = {WAIT}")

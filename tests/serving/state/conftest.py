"""Stores in SQLite and in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from backends import Server, postgres_server
from sqlalchemy import create_engine, text

from recsec.serving.state import SqlStore
from recsec.serving.state.names import Names

CHAIN = Names(bytes(32)).trail
Opened = Callable[[], SqlStore]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    server = postgres_server()
    yield server
    server.end()


def new_database(server: Server) -> str:
    """Its address."""
    address = f"postgresql://recsec@127.0.0.1:{server.port}"
    name = f"t{uuid4().hex}"
    engine = create_engine(
        f"{address.replace('postgresql', 'postgresql+psycopg')}/postgres",
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as base:
        base.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{address}/{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """``opened()`` is a store of its own over the same data as every other one of the test."""
    place: Path | str = tmp_path
    if request.param == "postgresql":
        place = new_database(request.getfixturevalue("postgres"))
    stores: list[SqlStore] = []

    def open_one() -> SqlStore:
        stores.append(SqlStore(place, CHAIN))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()

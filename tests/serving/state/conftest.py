"""Stores in SQLite and in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backends import new_database

from recsec.serving.state import SqlStore
from recsec.serving.state.names import Names

CHAIN = Names(bytes(32)).trail
Opened = Callable[[], SqlStore]


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

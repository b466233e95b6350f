"""A real Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from backends import Server, redis_server


@pytest.fixture(scope="session")
def redis() -> Iterator[Server]:
    server = redis_server()
    yield server
    server.end()

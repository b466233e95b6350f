"""A server that does as it is told, and one question to it."""

from __future__ import annotations

import numpy as np
import pytest
from liar import Liar

from recsec.data.catalog import Catalog
from recsec.targets import HttpConfig, HttpTarget

HISTORY = np.array([[3, 5, 0]])


@pytest.fixture
def catalog():
    return Catalog.from_ids(range(1, 41))


@pytest.fixture
def server():
    with Liar() as running:
        yield running


@pytest.fixture
def ask(server, catalog):
    """``ask(key=value...)``: one history, no further attempts."""
    opened = []

    def make(histories=HISTORY, *, k=3, environ=None, **settings):
        settings = {"url": server.url, "concurrency": 1, "retries": 0, **settings}
        config = HttpConfig.model_validate(settings)
        opened.append(HttpTarget(config, catalog, environ=environ or {}))
        return opened[-1].query("a", histories, k)

    yield make
    for target in opened:
        target.close()

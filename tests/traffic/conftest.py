"""A target whose lists are known without asking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from recsec.data.catalog import Catalog
from recsec.types import IntArray

ITEMS = 50


@dataclass
class Next:
    """Answers with the items after the newest one, going round, history left out."""

    catalog: Catalog
    chunk: int = 64
    asked: int = 0

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        self.asked += len(histories)
        lists = np.zeros((len(histories), k), dtype=np.int64)
        for row, history in enumerate(histories):
            known = set(history[history > 0].tolist())
            newest = int(history[history > 0][-1])
            after = [(newest + step - 1) % ITEMS + 1 for step in range(1, ITEMS)]
            lists[row] = [item for item in after if item not in known][:k]
        return lists


@pytest.fixture
def catalog() -> Catalog:
    """Ids are 101..150, so that an index is never mistaken for an id."""
    return Catalog.from_ids(list(range(101, 101 + ITEMS)))


@pytest.fixture
def target(catalog: Catalog) -> Next:
    return Next(catalog)

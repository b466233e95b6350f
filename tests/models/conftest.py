"""A planted chain: item i is mostly followed by a fixed successor; short walks, few repeats."""

import numpy as np
import pytest

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, Split, leave_one_out

ITEMS = 60


@pytest.fixture(scope="session")
def successor() -> np.ndarray:
    """``successor[i]`` follows item i with probability 0.85."""
    return np.concatenate([[0], 1 + np.random.default_rng(3).permutation(ITEMS)])


@pytest.fixture(scope="session")
def chain(successor: np.ndarray) -> Split:
    """500 users who walk the planted chain."""
    rng = np.random.default_rng(4)
    rows = []
    for _ in range(500):
        row = [int(rng.integers(1, ITEMS + 1))]
        while len(row) < rng.integers(6, 16):
            follow = rng.random() < 0.85
            row.append(int(successor[row[-1]] if follow else rng.integers(1, ITEMS + 1)))
        rows.append(row)
    catalog = Catalog.from_ids([f"item-{i}" for i in range(1, ITEMS + 1)])
    return leave_one_out(Sequences.from_lists(catalog, rows))

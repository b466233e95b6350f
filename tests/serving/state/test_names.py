"""What follows from the secret of a service."""

from __future__ import annotations

import numpy as np
import pytest

from recsec.serving.state.names import Names


@pytest.mark.parametrize("items", [2, 3, 120])
def test_elsewhere_is_every_item_once_and_never_the_same_one(items: int) -> None:
    for seed in range(200):  # of free permutations, one in 2.7 keeps every item away from its place
        others = Names(seed.to_bytes(32, "big")).elsewhere(items)
        assert others[0] == 0
        assert sorted(others[1:]) == list(range(1, items + 1))
        assert (others[1:] != np.arange(1, items + 1)).all()

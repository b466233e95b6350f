"""A planted world: recommenders whose taste is drawn at random, and users without meaning."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, Split, leave_one_out
from recsec.models.base import ModelConfig, Recommender
from recsec.types import IntArray

ITEMS = 240


class Taste(Recommender):
    """Scores follow from the newest three items, by a fixed random table; no training."""

    name: ClassVar[str] = "taste"
    config_class = ModelConfig

    def __init__(self, catalog: Catalog, seed: int) -> None:
        super().__init__(catalog, ModelConfig())
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn(len(catalog) + 1, len(catalog) + 1, generator=generator)
        self.table[0] = 0
        self.liking = torch.randn(len(catalog) + 1, generator=generator)

    def scores(self, histories: IntArray) -> torch.Tensor:
        lengths = (histories > 0).sum(axis=1)
        scores = self.liking.repeat(len(histories), 1)
        for back in (1, 2, 3):
            rows = np.flatnonzero(lengths >= back)
            newest = torch.from_numpy(histories[rows, lengths[rows] - back])
            scores[rows] += self.table[newest] / back
        scores[:, 0] = float("-inf")
        return scores

    def fit(self, *args: Any, **options: Any) -> None:
        """Nothing to learn."""

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    @classmethod
    def from_state(cls, catalog: Catalog, config: ModelConfig, state: Any) -> Taste:
        raise NotImplementedError


@pytest.fixture(scope="session")
def split() -> Split:
    """400 users; popular items have small numbers."""
    rng = np.random.default_rng(0)
    chance = np.arange(1, ITEMS + 1) ** -0.5
    rows = [
        (rng.choice(ITEMS, rng.integers(5, 15), replace=False, p=chance / chance.sum()) + 1)
        for _ in range(400)
    ]
    catalog = Catalog.from_ids(range(1000, 1000 + ITEMS))
    return leave_one_out(Sequences.from_lists(catalog, [row.tolist() for row in rows]))


@pytest.fixture(scope="session")
def taste(split: Split) -> Taste:
    """The owner's recommender."""
    return Taste(split.catalog, seed=1)

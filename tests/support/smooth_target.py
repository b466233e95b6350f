"""A planted recommender whose lists change slowly as a history grows, as those of real ones do."""

import numpy as np
import torch

from recsec.data.catalog import Catalog
from recsec.models import Recommender
from recsec.models.base import ModelConfig

__all__ = ["SmoothTarget", "small_catalog"]


def small_catalog(items=50):
    return Catalog.from_ids(list(range(1, items + 1)))


class SmoothTarget(Recommender):
    """Scores are a decayed sum of one fixed row per item of the history, newest first."""

    name = "smooth"
    config_class = ModelConfig

    def __init__(self, items=50, decay=0.7, seed=0):
        super().__init__(small_catalog(items), ModelConfig())
        self.decay = decay
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn(items + 1, items + 1, generator=generator)
        self.table[0] = 0

    def scores(self, histories):
        lengths = (histories > 0).sum(axis=1, keepdims=True)
        age = np.clip(lengths - 1 - np.arange(histories.shape[1]), 0, None)
        weights = torch.from_numpy(np.where(histories > 0, self.decay**age, 0.0)).float()
        scores = torch.einsum("bl,bln->bn", weights, self.table[torch.from_numpy(histories)])
        scores[:, 0] = float("-inf")
        return scores

    def state(self):
        return {"table": self.table}

    @classmethod
    def from_state(cls, catalog, config, state):
        return cls(len(catalog))

    @classmethod
    def fit(cls, split, config, *, seed, training):
        return cls(len(split.catalog))

"""Recommenders whose answers are known before they are asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, Split, leave_one_out
from recsec.models.base import ModelConfig, Recommender

GENRES = (["Animation", "Children's"], ["Horror"], ["Drama"])


class Rule(Recommender):
    """Scores by a given function of the histories."""

    name = "rule"
    config_class = ModelConfig

    def __init__(self, catalog: Catalog, rule: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__(catalog, ModelConfig())
        self.rule = rule

    def scores(self, histories: np.ndarray) -> Tensor:
        """``rule(histories)``, with padding at -inf."""
        scores = torch.from_numpy(self.rule(histories).astype(np.float32))
        scores[:, 0] = float("-inf")
        return scores

    def state(self) -> dict[str, Tensor]:
        """Nothing learned."""
        return {}

    @classmethod
    def from_state(cls, catalog, config, state):
        """Never needed here."""
        raise NotImplementedError

    @classmethod
    def fit(cls, split, config, *, seed, training):
        """Never needed here."""
        raise NotImplementedError


def ring_catalog(items: int = 30) -> Catalog:
    """Items 1..N with ids 101.., genres in thirds (children's, horror, drama), years by decade."""
    ids = np.arange(101, 101 + items)
    return Catalog(
        pl.DataFrame(
            {
                "id": ids,
                "title": [f"Film {i}" for i in ids],
                "genres": [GENRES[i * 3 // items] for i in range(items)],
                "year": [1970 + 10 * (i * 3 // items) for i in range(items)],
            }
        )
    )


def next_on_ring(histories: np.ndarray, items: int) -> np.ndarray:
    """``(B, N + 1)``: the item after the newest one scores highest, then the one after that."""
    lengths = (histories > 0).sum(axis=1)
    newest = np.take_along_axis(histories, np.maximum(lengths - 1, 0)[:, None], axis=1)
    steps = (np.arange(items + 1) - newest - 1) % items
    return -steps.astype(np.float64)


@pytest.fixture
def ring() -> Split:
    """40 users who walk on around a ring of 30 items: the next item is always the following."""
    rows = [[(start + step) % 30 + 1 for step in range(4 + start % 7)] for start in range(40)]
    return leave_one_out(Sequences.from_lists(ring_catalog(), rows))


@pytest.fixture
def rule() -> type[Rule]:
    """Build a recommender from a scoring rule."""
    return Rule


@pytest.fixture
def oracle(ring: Split) -> Rule:
    """Knows the ring: always right."""
    return Rule(ring.catalog, lambda histories: next_on_ring(histories, 30))

"""Fakes with known answers for the tests of targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.models.base import ModelConfig, Recommender
from recsec.types import IntArray

ITEMS = 40


def affinity(items: int) -> torch.Tensor:
    """Fixed item-to-item scores, all different."""
    generator = torch.Generator().manual_seed(5)
    return torch.rand(items + 1, items + 1, generator=generator)


@dataclass
class DecayState:
    histories: IntArray
    taste: torch.Tensor


class Decay(Recommender):
    """Sums item affinities with a weight that halves with each newer item; counts its work."""

    name: ClassVar[str] = "decay"
    config_class = ModelConfig

    def __init__(self, catalog: Catalog, config: ModelConfig | None = None) -> None:
        super().__init__(catalog, config or ModelConfig())
        self.affinity = affinity(len(catalog))
        self.encoded = 0
        self.extended = 0

    def open(self, histories: IntArray) -> DecayState:
        taste = torch.zeros(len(histories), len(self.catalog) + 1)
        for column in range(histories.shape[1]):
            items = torch.from_numpy(histories[:, column])
            taste = torch.where(items[:, None] > 0, taste / 2 + self.affinity[items], taste)
        self.encoded += int((histories > 0).sum())
        return DecayState(histories, taste)

    def extend(self, state: DecayState, items: IntArray) -> DecayState:
        self.extended += len(items)
        return DecayState(
            np.column_stack([state.histories, items]),
            state.taste / 2 + self.affinity[torch.from_numpy(items)],
        )

    def state_scores(self, state: DecayState) -> torch.Tensor:
        scores = state.taste.clone()
        scores[:, 0] = float("-inf")
        return scores

    def scores(self, histories: IntArray) -> torch.Tensor:
        return self.state_scores(self.open(histories))

    def fit(self, *args: Any, **options: Any) -> None:
        """Nothing to learn."""

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    @classmethod
    def from_state(cls, catalog: Catalog, config: ModelConfig, state: Any) -> Decay:
        return cls(catalog, config)


@dataclass
class Oracle:
    """A target that answers with the ``k`` items after the newest, and notes what it was asked."""

    catalog: Catalog
    chunk: int = 4
    asked: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        newest = histories.max(axis=1, initial=0)
        for row in histories:
            self.asked.append((account, tuple(int(item) for item in row[row > 0])))
        return (newest[:, None] + np.arange(k)) % len(self.catalog) + 1


@pytest.fixture
def catalog() -> Catalog:
    """Numbers as ids, in no order: index i is the item 7 i mod 41."""
    return Catalog.from_ids([7 * index % (ITEMS + 1) for index in range(1, ITEMS + 1)])


@pytest.fixture
def decay(catalog: Catalog) -> Decay:
    return Decay(catalog)


@pytest.fixture
def oracle(catalog: Catalog) -> Oracle:
    return Oracle(catalog)

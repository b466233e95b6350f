"""Popularity: the same list for everybody. The floor of every comparison."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, Split
from recsec.errors import CheckpointError
from recsec.models.base import ModelConfig, Recommender, Training
from recsec.types import IntArray

__all__ = ["Popularity", "PopularityConfig"]


class PopularityConfig(ModelConfig):
    """Popularity has no settings."""


class Popularity(Recommender):
    """Ranks items by how often they occur in the training histories."""

    name = "popularity"
    config_class = PopularityConfig

    def __init__(self, catalog: Catalog, config: ModelConfig, counts: Tensor) -> None:
        super().__init__(catalog, config)
        if counts.shape != (len(catalog) + 1,):
            raise CheckpointError(
                f"{tuple(counts.shape)} counts do not fit a catalog of {len(catalog)} items"
            )
        self.counts = counts

    @classmethod
    def of(cls, sequences: Sequences) -> Self:
        """Count the items of ``sequences``."""
        counts = torch.from_numpy(sequences.counts.astype(np.float32))
        return cls(sequences.catalog, PopularityConfig(), counts)

    @classmethod
    def fit(cls, split: Split, config: Any, *, seed: int, training: Training) -> Self:
        """See ``Recommender.fit``."""
        return cls.of(split.train)

    def scores(self, histories: IntArray) -> Float[Tensor, "B N1"]:
        """Counts, the same for each row."""
        scores = self.counts.expand(len(histories), -1).clone()
        scores[:, 0] = float("-inf")
        return scores

    def state(self) -> dict[str, Tensor]:
        """``counts (N + 1,)``."""
        return {"counts": self.counts}

    @classmethod
    def from_state(cls, catalog: Catalog, config: Any, state: dict[str, Tensor]) -> Self:
        """See ``Recommender.from_state``."""
        if set(state) != {"counts"}:
            raise CheckpointError(f"popularity needs the tensor 'counts', found {sorted(state)}")
        return cls(catalog, config, state["counts"])

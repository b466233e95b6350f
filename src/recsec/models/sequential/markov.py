"""Markov: which item followed which, counted."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import scipy
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recsec.data.catalog import Catalog
from recsec.data.sequences import Split
from recsec.errors import CheckpointError
from recsec.models.base import ModelConfig, Recommender, Training
from recsec.types import IntArray

__all__ = ["Markov", "MarkovConfig"]


class MarkovConfig(ModelConfig):
    """Settings of ``Markov``."""

    reach: int = Field(3, gt=0, description="how many items back a transition is counted")
    smoothing: float = Field(1.0, ge=0, description="weight of popularity, in observed transitions")


class Markov(Recommender):
    """A chain over items that also looks a few items back.

    The score of item j after a history ``... h2, h1`` is
    ``sum_{d=1..reach} (C[h_d, j] + s p_j) / (C[h_d, .] + s) / d`` where C counts how often j came
    at most ``reach`` items after h, each count divided by that distance, p is the popularity share
    and s the smoothing.
    """

    name = "markov"
    config_class = MarkovConfig
    config: MarkovConfig

    def __init__(
        self,
        catalog: Catalog,
        config: MarkovConfig,
        counts: scipy.sparse.csr_array,
        popularity: Tensor,
    ) -> None:
        super().__init__(catalog, config)
        self.counts = counts
        self.popularity = popularity
        self.totals = np.asarray(counts.sum(axis=1)).ravel()

    @classmethod
    def fit(cls, split: Split, config: Any, *, seed: int, training: Training) -> Self:
        """See ``Recommender.fit``."""
        train = split.train
        n = len(train.catalog) + 1
        user = np.repeat(np.arange(len(train)), train.lengths)
        counts = scipy.sparse.csr_array((n, n), dtype=np.float32)
        for distance in range(1, config.reach + 1):
            same = user[distance:] == user[:-distance]
            pairs = (train.items[:-distance][same], train.items[distance:][same])
            weights = np.full(len(pairs[0]), 1 / distance, dtype=np.float32)
            counts = counts + scipy.sparse.coo_array((weights, pairs), shape=(n, n)).tocsr()
        share = train.counts / max(1, train.counts.sum())
        counts.sum_duplicates()
        return cls(train.catalog, config, counts, torch.from_numpy(share.astype(np.float32)))

    def scores(self, histories: IntArray) -> Float[Tensor, "B N1"]:
        """See ``Recommender.scores``; an empty history is scored by popularity."""
        lengths = (histories > 0).sum(axis=1)
        popularity = self.popularity.numpy()
        scores = np.zeros((len(histories), len(self.catalog) + 1), dtype=np.float32)
        for distance in range(1, self.config.reach + 1):
            rows = np.flatnonzero(lengths >= distance)
            if len(rows) == 0:
                break
            items = histories[rows, lengths[rows] - distance]
            total = (self.totals[items] + self.config.smoothing).astype(np.float32)
            scale = 1 / (distance * np.maximum(total, 1e-9))[:, None]
            seen = self.counts[items].toarray() + self.config.smoothing * popularity
            scores[rows] += seen * scale
        scores[lengths == 0] = popularity
        scores[:, 0] = -np.inf
        return torch.from_numpy(scores)

    def state(self) -> dict[str, Tensor]:
        """The counts as a compressed sparse matrix, and the popularity shares."""
        return {
            "indptr": torch.from_numpy(self.counts.indptr.astype(np.int64)),
            "indices": torch.from_numpy(self.counts.indices.astype(np.int64)),
            "values": torch.from_numpy(self.counts.data.astype(np.float32)),
            "popularity": self.popularity,
        }

    @classmethod
    def from_state(cls, catalog: Catalog, config: Any, state: dict[str, Tensor]) -> Self:
        """See ``Recommender.from_state``."""
        n = len(catalog) + 1
        if not isinstance(config, MarkovConfig):
            raise CheckpointError(f"markov cannot be built from a {type(config).__name__}")
        try:
            parts = (state["values"].numpy(), state["indices"].numpy(), state["indptr"].numpy())
            counts = scipy.sparse.csr_array(parts, shape=(n, n))
            counts.check_format()
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"the tensors are not those of a markov model: {error}"
            ) from error
        return cls(catalog, config, counts, state["popularity"])

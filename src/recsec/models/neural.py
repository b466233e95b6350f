"""What the trained models share: settings, the map from histories to scores, tensors in and out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from recsec.data.catalog import Catalog
from recsec.data.sequences import Split
from recsec.errors import CheckpointError
from recsec.models.base import ModelConfig, Recommender, Training
from recsec.rng import Streams
from recsec.types import IntArray

__all__ = ["NeuralConfig", "NeuralRecommender"]


class NeuralConfig(ModelConfig):
    """Settings of every trained model: width, and how it is trained."""

    embedding_dim: int = Field(64, gt=0, description="width D of the representations")
    max_length: int = Field(200, gt=0, description="newest items of a history that are used")
    dropout: float = Field(0.2, ge=0, lt=1)
    epochs: int = Field(30, ge=0, description="length of the cosine schedule")
    batch_size: int = Field(64, gt=0, description="windows of max_length items per step")
    lr: float = Field(2e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="share of all steps that warm up")
    patience: int = Field(5, gt=0, description="epochs without a better NDCG@10 before stopping")


class NeuralRecommender(Recommender, nn.Module):
    """A recommender whose representation after each item is a causal function of the history.

    Causality lets one pass score every prefix: histories are padded on the right, and padding
    never reaches a real position.
    """

    config: NeuralConfig

    def __init__(self, catalog: Catalog, config: NeuralConfig) -> None:
        nn.Module.__init__(self)
        Recommender.__init__(self, catalog, config)

    def initialize(self, generator: torch.Generator) -> None:
        """Draw all weights anew: embeddings from a narrow truncated normal, matrices as Glorot and
        Bengio (2010), biases zero, norms one.
        """
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight, generator=generator)
                nn.init.zeros_(module.bias)

    @abstractmethod
    def hidden(self, windows: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Representation after each item; ``L <= max_length``, zeros on the right."""

    @abstractmethod
    def item_table(self) -> Float[Tensor, "N1 D"]:
        """Output embeddings: scores are inner products with a representation; row 0 is padding."""

    @torch.no_grad()
    def last_hidden(self, histories: IntArray) -> Float[Tensor, "B D"]:
        """Representation after the newest item of each history; of an empty one, zeros."""
        lengths = (histories > 0).sum(axis=1)
        width = max(1, min(self.config.max_length, int(lengths.max(initial=0))))
        columns = np.maximum(lengths - width, 0)[:, None] + np.arange(width)
        if histories.shape[1] == 0:
            windows = np.zeros((len(histories), 1), dtype=np.int64)
        else:
            last = histories.shape[1] - 1
            inside = columns < lengths[:, None]
            gathered = np.take_along_axis(histories, np.minimum(columns, last), axis=1)
            windows = np.where(inside, gathered, 0)
        self.eval()
        device = self.item_table().device
        encoded = self.hidden(torch.from_numpy(windows).to(device))
        newest = torch.from_numpy(np.clip(lengths, 1, width) - 1).to(device)
        rows = encoded[torch.arange(len(histories), device=device), newest].float()
        return rows * torch.from_numpy(lengths > 0).to(device)[:, None]

    @torch.no_grad()
    def scores_of(self, hidden: Float[Tensor, "B D"]) -> Float[Tensor, "B N1"]:
        """Scores of all items, float32 on the CPU, column 0 at -inf."""
        scores = (hidden @ self.item_table().T).cpu()
        scores[:, 0] = float("-inf")
        return scores

    def scores(self, histories: IntArray) -> Float[Tensor, "B N1"]:
        """See ``Recommender.scores``."""
        return self.scores_of(self.last_hidden(histories))

    @classmethod
    def fit(cls, split: Split, config: Any, *, seed: int, training: Training) -> Self:
        """Train on every position of the training histories; see ``next_item``."""
        from recsec.models.next_item import NextItem
        from recsec.models.trainer import fit

        streams = Streams(seed, (cls.name,))
        model = cls(split.catalog, config)
        model.initialize(streams.torch("initialization"))
        fit(NextItem(model, split), config, streams=streams, training=training)
        return model.cpu()

    def state(self) -> dict[str, Tensor]:
        """The parameters."""
        return {name: tensor.detach().cpu() for name, tensor in self.state_dict().items()}

    @classmethod
    def from_state(cls, catalog: Catalog, config: Any, state: dict[str, Tensor]) -> Self:
        """See ``Recommender.from_state``."""
        if not isinstance(config, NeuralConfig):
            raise CheckpointError(f"{cls.name} cannot be built from a {type(config).__name__}")
        model = cls(catalog, config)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(
                f"the tensors do not fit a {cls.name} with these settings: {error}"
            ) from error
        model.eval()
        return model

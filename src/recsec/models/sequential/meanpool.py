"""MeanPool: embeddings of the history averaged, then one linear layer. Blind to order."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsec.data.catalog import Catalog
from recsec.models.base import Epochs
from recsec.models.dropout import Dropout
from recsec.models.sequential.neural import (
    CausalRecommender,
    DropoutShare,
    EmbeddingDim,
    NeuralConfig,
)

__all__ = ["MeanPool", "MeanPoolConfig"]


class MeanPoolConfig(NeuralConfig):
    """Settings of ``MeanPool``."""

    embedding_dim: EmbeddingDim = 256
    dropout: DropoutShare = 0.1
    epochs: Epochs = 10


class MeanPool(CausalRecommender):
    """The classic baseline of this task: ``output(mean(embeddings))`` with a bias per item."""

    name = "meanpool"
    config_class = MeanPoolConfig
    config: MeanPoolConfig

    def __init__(self, catalog: Catalog, config: MeanPoolConfig) -> None:
        super().__init__(catalog, config)
        self.items = nn.Embedding(len(catalog) + 1, config.embedding_dim)
        self.output = nn.Linear(config.embedding_dim, len(catalog) + 1)
        self.dropout = Dropout(config.dropout)

    def item_table(self) -> Float[Tensor, "N1 D"]:
        """Output weights with the bias as one more column."""
        return torch.cat([self.output.weight, self.output.bias[:, None]], dim=1)

    def hidden(self, windows: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Running mean of the embeddings, and a constant 1 for the bias."""
        seen = torch.arange(1, windows.shape[1] + 1, device=windows.device)[:, None]
        mean = self.items(windows).cumsum(dim=1) / seen
        return torch.cat([self.dropout(mean), torch.ones_like(mean[..., :1])], dim=2)

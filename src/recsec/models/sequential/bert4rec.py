"""BERT4Rec: a transformer that reads a history both ways and guesses what is masked.

Source: Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations
from Transformer", CIKM 2019 (arXiv 1904.06690). Departures: pre-layer-norm blocks, and the softmax
leaves out the items that are visible in the window. A recommendation appends the mask and reads
the representation there, so the newest ``max_length - 1`` items of a history are used.
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recsec.data.catalog import Catalog
from recsec.data.sequences import Split
from recsec.models.base import BatchSize, Epochs, LearningRate, Patience, WeightDecay
from recsec.models.dropout import Dropout
from recsec.models.sequential.layers.attention import padded_attention
from recsec.models.sequential.layers.transformer import Block
from recsec.models.sequential.neural import (
    Blocks,
    DropoutShare,
    EmbeddingDim,
    Heads,
    NeuralConfig,
    NeuralRecommender,
)
from recsec.models.sequential.objectives.cloze import Cloze

__all__ = ["Bert4Rec", "Bert4RecConfig"]


class Bert4RecConfig(NeuralConfig):
    """Settings of ``Bert4Rec``; the defaults are those of the ML-1M benchmark."""

    embedding_dim: EmbeddingDim = 64
    blocks: Blocks = 2
    heads: Heads = 2
    max_length: int = Field(200, gt=1, description="positions, the mask at the end included")
    dropout: DropoutShare = 0.1
    mask_share: float = Field(0.2, gt=0, le=1, description="share of items that are masked")
    only_last: float = Field(
        0.1, ge=0, le=1, description="share of windows in which only the newest item is masked"
    )
    batch_size: BatchSize = 32
    epochs: Epochs = 50
    lr: LearningRate = 2e-3
    weight_decay: WeightDecay = 0.01
    patience: Patience = 10


class Bert4Rec(NeuralRecommender):
    """Bidirectional transformer with tied output embeddings and a bias per item."""

    name = "bert4rec"
    config_class = Bert4RecConfig
    config: Bert4RecConfig

    def __init__(self, catalog: Catalog, config: Bert4RecConfig) -> None:
        super().__init__(catalog, config)
        width = config.embedding_dim
        self.items = nn.Embedding(len(catalog) + 1, width)
        self.mask = nn.Embedding(1, width)
        self.positions = nn.Embedding(config.max_length, width)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.dropout, F.gelu) for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, width)
        self.head_norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(len(catalog) + 1))

    @property
    def reach(self) -> int:
        """See ``NeuralRecommender.reach``: one position is the mask's."""
        return self.config.max_length - 1

    def item_table(self) -> Float[Tensor, "N1 D"]:
        """Input embeddings (tied) with the bias as one more column."""
        return torch.cat([self.items.weight, self.bias[:, None]], dim=1)

    def encode(
        self, windows: Int[Tensor, "B L"], masked: Bool[Tensor, "B L"]
    ) -> Float[Tensor, "B L D"]:
        """Representation at every position, and a constant 1 for the bias.

        Args:
            windows: ``L <= max_length`` items, zeros on the right; what is masked is not read.
            masked: where the mask stands in place of the item; it counts as real.
        """
        places = torch.arange(windows.shape[1], device=windows.device)
        inputs = torch.where(masked[..., None], self.mask.weight[0], self.items(windows))
        x = self.dropout(inputs + self.positions(places))
        real = (windows > 0) | masked
        for block in cast("list[Block]", list(self.blocks)):
            x = block(x, lambda q, k, v: padded_attention(q, k, v, real))
        x = self.head_norm(F.gelu(self.head(self.norm(x))))
        return torch.cat([x, torch.ones_like(x[..., :1])], dim=2)

    def newest(self, windows: Int[Tensor, "B L"], lengths: Int[Tensor, " B"]) -> Tensor:
        """See ``NeuralRecommender.newest``: the representation at a mask behind the newest item."""
        wider = F.pad(windows, (0, 1))
        rows = torch.arange(len(windows), device=windows.device)
        masked = torch.zeros_like(wider, dtype=torch.bool)
        masked[rows, lengths] = True
        return self.encode(wider, masked)[rows, lengths]

    def objective(self, split: Split) -> Cloze:
        """Guess masked items of the training histories."""
        config = self.config
        return Cloze(
            self,
            split,
            max_length=self.reach,
            batch_size=config.batch_size,
            mask_share=config.mask_share,
            only_last=config.only_last,
        )

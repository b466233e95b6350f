"""SASRec: a causal transformer over the history.

Source: Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018 (arXiv 1808.09781).
Departures: pre-layer-norm blocks, and the full softmax over the catalog instead of one sampled
negative, which is what makes it strong (Klenitskiy & Vasilev, RecSys 2023, arXiv 2309.07602).
Positions count from the first item of the window, so a growing history keeps its keys and values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recsec.data.catalog import Catalog
from recsec.models.base import Epochs, LearningRate, WeightDecay
from recsec.models.dropout import Dropout
from recsec.models.sequential.layers.attention import causal_attention
from recsec.models.sequential.layers.transformer import Block
from recsec.models.sequential.neural import (
    Blocks,
    CausalRecommender,
    DropoutShare,
    EmbeddingDim,
    Heads,
    MaxLength,
    NeuralConfig,
)
from recsec.types import IntArray

__all__ = ["SasRec", "SasRecConfig", "SasRecState"]


class SasRecConfig(NeuralConfig):
    """Settings of ``SasRec``; the defaults are those of the ML-1M benchmark."""

    embedding_dim: EmbeddingDim = 64
    blocks: Blocks = 2
    heads: Heads = 2
    max_length: MaxLength = 200
    dropout: DropoutShare = 0.2
    item_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of history items replaced by padding while training"
    )
    epochs: Epochs = 26
    lr: LearningRate = 3e-3
    weight_decay: WeightDecay = 0.1


@dataclass
class SasRecState:
    """Encoded histories of one common length, for ``extend``.

    Attributes:
        histories: ``(B, L)`` int64, whole histories.
        keys, values: per block ``(B, heads, max_length, D / heads)``, the first ``used`` filled.
        used: items of the window that are encoded.
        hidden: ``(B, D)`` float32, representation after the newest item.
        reencoded: how many times the window slid and everything was encoded anew.
    """

    histories: IntArray
    keys: list[Tensor]
    values: list[Tensor]
    used: int
    hidden: Tensor
    reencoded: int = 0


class SasRec(CausalRecommender):
    """Self-attentive sequential recommender with tied output embeddings."""

    name = "sasrec"
    config_class = SasRecConfig
    config: SasRecConfig

    def __init__(self, catalog: Catalog, config: SasRecConfig) -> None:
        super().__init__(catalog, config)
        width = config.embedding_dim
        self.items = nn.Embedding(len(catalog) + 1, width)
        self.positions = nn.Embedding(config.max_length, width)
        self.dropout = Dropout(config.dropout)
        self.item_dropout = Dropout(config.item_dropout)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.dropout) for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(width)

    @property
    def layers(self) -> list[Block]:
        """The blocks, by their type."""
        return cast("list[Block]", list(self.blocks))

    def item_table(self) -> Float[Tensor, "N1 D"]:
        """The input embeddings (tied)."""
        return self.items.weight

    def embed(self, items: Int[Tensor, "*B"]) -> Float[Tensor, "*B D"]:
        """Input embeddings, scaled by sqrt(D): small tied weights, inputs of unit size."""
        out: Tensor = self.items(items) * self.config.embedding_dim**0.5
        return out

    def hidden(self, windows: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """See ``NeuralRecommender.hidden``."""
        if self.training and self.config.item_dropout > 0:
            kept = self.item_dropout(torch.ones(windows.shape, device=windows.device)) > 0
            windows = windows * kept
        places = torch.arange(windows.shape[1], device=windows.device)
        x = self.dropout(self.embed(windows) + self.positions(places))
        for block in self.layers:
            x = block(x, causal_attention)
        out: Tensor = self.norm(x)
        return out

    @torch.no_grad()
    def open(self, histories: IntArray) -> SasRecState:
        """See ``Incremental.open``: encode ``(B, L)`` histories of one common length, L >= 1."""
        self.eval()
        place = self.items.weight.device
        window = torch.from_numpy(histories[:, -self.config.max_length :]).to(place)
        batch, length = window.shape
        x = self.embed(window) + self.positions(torch.arange(length, device=place))
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for block in self.layers:
            q, k, v = block.split(x)
            shape = (batch, k.shape[1], self.config.max_length, k.shape[3])
            for cache, part in ((keys, k), (values, v)):
                cache.append(k.new_empty(shape))
                cache[-1][:, :, :length] = part
            x = block.finish(x, causal_attention(q, k, v))
        return SasRecState(histories, keys, values, length, self.norm(x[:, -1]))

    @torch.no_grad()
    def extend(self, state: SasRecState, items: IntArray) -> SasRecState:
        """See ``Incremental.extend``. A full window slides, which encodes it anew."""
        histories = np.concatenate([state.histories, items[:, None]], axis=1)
        if state.used == self.config.max_length:
            fresh = self.open(histories)
            fresh.reencoded = state.reencoded + 1
            return fresh
        at = state.used
        newest = torch.from_numpy(items).to(self.items.weight.device)
        x = self.embed(newest)[:, None] + self.positions.weight[at]
        for block, keys, values in zip(self.layers, state.keys, state.values, strict=True):
            q, k, v = block.split(x)
            keys[:, :, at], values[:, :, at] = k[:, :, 0], v[:, :, 0]
            past = keys[:, :, : at + 1], values[:, :, : at + 1]
            x = block.finish(x, F.scaled_dot_product_attention(q, *past))
        state.histories, state.used, state.hidden = histories, at + 1, self.norm(x[:, 0])
        return state

    def state_scores(self, state: SasRecState) -> Float[Tensor, "B N1"]:
        """See ``Incremental.state_scores``."""
        return self.scores_of(state.hidden)

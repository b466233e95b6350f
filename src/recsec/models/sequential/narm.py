"""NARM: a recurrent encoder whose newest state also attends to the states before it.

Source: Li et al., "Neural Attentive Session-based Recommendation", CIKM 2017 (arXiv 1711.04725).
As in the code of the extraction papers (Yue et al., RecSys 2021) the gate of the attention is a
hard sigmoid and the state is twice as wide as the embeddings. Departure: every prefix of a window
is trained in one pass, and the softmax leaves the history out.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recsec.data.catalog import Catalog
from recsec.models.base import Epochs, LearningRate, WeightDecay
from recsec.models.dropout import Dropout
from recsec.models.sequential.neural import (
    CausalRecommender,
    DropoutShare,
    EmbeddingDim,
    MaxLength,
    NeuralConfig,
)

__all__ = ["Narm", "NarmConfig", "local_attention"]

CACHED = 2**20
"""Gates that are held at a time on a CPU."""

HELD = 2**26
"""Elsewhere, where many small steps cost more than memory."""


class NarmConfig(NeuralConfig):
    """Settings of ``Narm``; the defaults are those of the ML-1M benchmark."""

    embedding_dim: EmbeddingDim = 64
    hidden_dim: int = Field(128, gt=0, description="width of the recurrent state")
    max_length: MaxLength = 200
    dropout: DropoutShare = 0.1
    epochs: Epochs = 20
    lr: LearningRate = 3e-3
    weight_decay: WeightDecay = 0.01


def _summed(query: Tensor, key: Tensor, first: int, size: int) -> Tensor:
    """``query_i + key_j + 3`` for positions i from ``first`` on and all j before their end."""
    end = min(first + size, query.shape[1])
    return query[:, first:end, None] + (key[:, None, :end] + 3)


def _chunk(query: Tensor) -> int:
    """How many positions are gated at a time, so that the gates stay in cache."""
    gates = CACHED if query.device.type == "cpu" else HELD
    return max(1, gates // max(1, query.shape[0] * query.shape[1] * query.shape[2]))


class _Gates(torch.autograd.Function):
    """``<gate, hardsigmoid(query_i + key_j)>`` for all j <= i; the gates are made twice."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, gate: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, gate)
        length, size = query.shape[1], _chunk(query)
        weights = query.new_zeros(query.shape[0], length, length)
        for first in range(0, length, size):
            sums = _summed(query, key, first, size).clamp_(0, 6)
            end = first + sums.shape[1]
            weights[:, first:end, :end] = (sums @ (gate / 6)).tril_(first)
        return weights

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, gate = ctx.saved_tensors
        size, outer = _chunk(query), grads[0].tril()
        to_query, to_key = torch.empty_like(query), torch.zeros_like(key)
        to_gate = torch.zeros_like(gate)
        for first in range(0, query.shape[1], size):
            sums = _summed(query, key, first, size)
            end = first + sums.shape[1]
            pull = outer[:, first:end, :end]
            spread = pull[..., None].expand_as(sums)
            inside = torch.ops.aten.hardtanh_backward(spread, sums, 0, 6)
            to_query[:, first:end] = inside.sum(dim=2)
            to_key[:, :end] += inside.sum(dim=1)
            to_gate += pull.reshape(-1) @ sums.clamp_(0, 6).flatten(0, 2)
        share = gate / 6
        return to_query * share, to_key * share, to_gate / 6


def local_attention(
    query: Float[Tensor, "B L A"],
    key: Float[Tensor, "B L A"],
    value: Float[Tensor, "B L H"],
    gate: Float[Tensor, " A"],
) -> Float[Tensor, "B L H"]:
    """``out_t = sum_{j <= t} <gate, hardsigmoid(query_t + key_j)> value_j``, not normalized.

    The gates of all pairs would fill B x L x L x A floats. They are made for a few positions at a
    time, and made again in the backward pass.
    """
    parts = (query.float(), key.float(), gate.float())  # on a CPU faster than bfloat16
    weights: Tensor = _Gates.apply(*parts)  # type: ignore[no-untyped-call]
    return torch.matmul(weights.to(value.dtype), value)


class Narm(CausalRecommender):
    """GRU, attention of each state to its past, and a bilinear decoder."""

    name = "narm"
    config_class = NarmConfig
    config: NarmConfig

    def __init__(self, catalog: Catalog, config: NarmConfig) -> None:
        super().__init__(catalog, config)
        width = config.hidden_dim
        self.items = nn.Embedding(len(catalog) + 1, config.embedding_dim)
        self.recurrent = nn.GRU(config.embedding_dim, width, batch_first=True)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, 1, bias=False)
        self.decoder = nn.Linear(2 * width, config.embedding_dim, bias=False)
        self.input_dropout = Dropout(config.dropout)
        self.output_dropout = Dropout(config.dropout)

    def initialize(self, generator: torch.Generator) -> None:
        """See ``NeuralRecommender.initialize``; recurrent matrices orthogonal."""
        super().initialize(generator)
        for name, tensor in self.recurrent.named_parameters():
            if "bias" in name:
                nn.init.zeros_(tensor)
                continue
            for gate in tensor.chunk(3):
                if "hh" in name:
                    nn.init.orthogonal_(gate, generator=generator)
                else:
                    nn.init.xavier_normal_(gate, generator=generator)

    def item_table(self) -> Float[Tensor, "N1 D"]:
        """The input embeddings (tied)."""
        return self.items.weight

    def hidden(self, windows: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """See ``CausalRecommender.hidden``."""
        states = self._states(windows)
        query, key = self.query(states), self.key(states)
        return self._decoded(states, local_attention(query, key, states, self.gate.weight[0]))

    def newest(self, windows: Int[Tensor, "B L"], lengths: Int[Tensor, " B"]) -> Tensor:
        """See ``NeuralRecommender.newest``; attends from the newest state only."""
        states = self._states(windows)
        rows = torch.arange(len(windows), device=windows.device)
        last = states[rows, lengths.clamp_min(1) - 1][:, None]
        weights = self.gate(F.hardsigmoid(self.query(last) + self.key(states)))
        weights = weights * (windows > 0)[..., None]
        return self._decoded(last, weights.transpose(1, 2) @ states)[:, 0] * (lengths > 0)[:, None]

    def _states(self, windows: Tensor) -> Tensor:
        """The recurrent states ``(B, L, H)``; inputs scaled to unit size as in ``SasRec``."""
        scale = self.config.embedding_dim**0.5
        states: Tensor = self.recurrent(self.input_dropout(self.items(windows) * scale))[0]
        return states

    def _decoded(self, states: Tensor, local: Tensor) -> Tensor:
        """What the bilinear decoder makes of the newest state and of what it attends to."""
        out: Tensor = self.decoder(self.output_dropout(torch.cat([states, local], dim=2)))
        return out

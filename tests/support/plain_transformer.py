"""Transformer blocks written out for one history: loops over positions and heads, no layers."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from recsec.models.sequential.neural import NeuralRecommender
from recsec.rng import Streams


def with_random_vectors(model: NeuralRecommender) -> NeuralRecommender:
    """The model in evaluation mode; gains and biases are random too, not ones and zeros."""
    model.initialize(Streams(0).torch("weights"))
    rng = Streams(0).torch("vectors")
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, 0.5, 0.3, generator=rng)
    return model.eval()


def norm(weights: dict[str, Tensor], x: Tensor, name: str) -> Tensor:
    centered = x - x.mean()
    scaled = centered / torch.sqrt((centered**2).mean() + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(weights: dict[str, Tensor], x: Tensor, name: str) -> Tensor:
    return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]


def block(
    weights: dict[str, Tensor],
    xs: list[Tensor],
    name: str,
    *,
    heads: int,
    causal: bool,
    activation: Callable[[Tensor], Tensor],
) -> list[Tensor]:
    """One block: every position attends to those it may see, then the feed-forward part."""
    size = len(xs[0])
    width = size // heads
    qkv = [linear(weights, norm(weights, x, f"{name}.attention_norm"), f"{name}.qkv") for x in xs]
    attended = []
    for at in range(len(xs)):
        seen = qkv[: at + 1] if causal else qkv
        parts = []
        for head in range(heads):
            q, k, v = (
                slice(n * size + head * width, n * size + (head + 1) * width) for n in (0, 1, 2)
            )
            logits = torch.stack([qkv[at][q] @ row[k] for row in seen])
            share = torch.softmax(logits / math.sqrt(width), 0)
            parts.append(sum(p * row[v] for p, row in zip(share, seen, strict=True)))
        attended.append(torch.cat(parts))
    xs = [x + linear(weights, a, f"{name}.out") for x, a in zip(xs, attended, strict=True)]
    inner = [linear(weights, norm(weights, x, f"{name}.feed_norm"), f"{name}.up") for x in xs]
    return [
        x + linear(weights, activation(up), f"{name}.down") for x, up in zip(xs, inner, strict=True)
    ]

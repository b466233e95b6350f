"""Attention over right-padded windows."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["causal_attention", "padded_attention"]


def causal_attention(
    q: Float[Tensor, "B H L D"], k: Float[Tensor, "B H L D"], v: Float[Tensor, "B H L D"]
) -> Float[Tensor, "B H L D"]:
    """Softmax attention of each position to itself and the ones before it.

    On a CPU the fused kernel is fast forward and slow backward; for windows of some hundred items
    batched products with the L x L weights in between are faster to train (the ratio is printed by
    ``benchmarks/bench_train.py``). Elsewhere PyTorch's fused kernel is used; it is also the
    reference that the test compares with.
    """
    if q.device.type != "cpu" or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    batch, heads, length, width = q.shape
    flat = (batch * heads, length, width)
    hidden = torch.ones(length, length, dtype=torch.bool).triu_(1)
    mask = torch.zeros(length, length, dtype=q.dtype).masked_fill_(hidden, float("-inf"))
    logits = torch.baddbmm(
        mask, q.reshape(flat), k.reshape(flat).transpose(1, 2), alpha=width**-0.5
    )
    weights = torch.softmax(logits, dim=-1)
    return torch.bmm(weights, v.reshape(flat)).view(batch, heads, length, width)


def padded_attention(
    q: Float[Tensor, "B H L D"],
    k: Float[Tensor, "B H L D"],
    v: Float[Tensor, "B H L D"],
    real: Bool[Tensor, "B L"],
) -> Float[Tensor, "B H L D"]:
    """Softmax attention of each position to all that are ``real``, at least one in each row.

    Two ways to compute it, as in ``causal_attention``.
    """
    if q.device.type != "cpu" or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None])
    mask = torch.zeros(real.shape, dtype=q.dtype).masked_fill_(~real, float("-inf"))
    logits = torch.matmul(q * q.shape[3] ** -0.5, k.transpose(2, 3)) + mask[:, None, None]
    return torch.matmul(torch.softmax(logits, dim=-1), v)

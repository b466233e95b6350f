"""The loss over the whole catalog, computed in chunks together with its gradient.

Scores of T tokens against N items would fill T x N floats, written and read several times: memory
traffic, not arithmetic, is what a full softmax costs on a CPU. Here a chunk of tokens at a time is
scored, turned into the gradient of the loss and multiplied back while it is still in cache, so the
peak is one chunk and the backward pass is a scaling.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["catalog_cross_entropy"]

CHUNK = 512


class _CatalogCrossEntropy(torch.autograd.Function):
    """The weighted sum and its gradients, both in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        items: Tensor,
        targets: Tensor,
        weights: Tensor,
        dtype: torch.dtype,
    ) -> Tensor:
        table = items.to(dtype)
        mass = weights.sum(dim=1, keepdim=True).to(dtype)
        grad_hidden = torch.empty_like(hidden)
        grad_items = torch.zeros_like(items)
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        logits = torch.empty(min(CHUNK, len(hidden)), len(items), dtype=dtype, device=hidden.device)
        p = torch.empty_like(logits)
        for start in range(0, len(hidden), CHUNK):
            part = slice(start, start + CHUNK)
            x, y, w = hidden[part].to(dtype), targets[part], weights[part]
            logits, p = logits[: len(x)], p[: len(x)]
            torch.mm(x, table.T, out=logits)
            logits[:, 0] = float("-inf")
            torch.softmax(logits, dim=1, out=p)
            likelihood = p.gather(1, y).float().clamp_min_(torch.finfo(torch.float32).tiny)
            total -= (w * likelihood.log_()).sum(dtype=torch.float64)
            gradient = p.mul_(mass[part]).scatter_add_(1, y, -w.to(dtype))
            grad_hidden[part] = gradient @ table
            grad_items += gradient.T @ x
        ctx.save_for_backward(grad_hidden, grad_items)
        return total.to(hidden.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_items = ctx.saved_tensors
        return grad_hidden * grads[0], grad_items * grads[0], None, None, None


def catalog_cross_entropy(
    hidden: Float[Tensor, "T D"],
    items: Float[Tensor, "N1 D"],
    targets: Int[Tensor, "T J"],
    weights: Float[Tensor, "T J"],
) -> Float[Tensor, ""]:
    """Weighted cross-entropy of J targets per token against all items, summed.

    With one target of weight 1 it is the full-softmax next-item loss; with the K items of a list
    and weights by rank it is the distillation loss. Gradients flow to ``hidden`` and ``items``,
    none to ``weights``. Under autocast the matrix products run in its dtype: bfloat16 halves the
    traffic and keeps two to three significant digits of each probability.

    Args:
        hidden: token representations.
        items: output embeddings; row 0 is padding and takes no part in the softmax.
        targets: catalog indices 1..N; where the weight is 0, any index but 0.
        weights: non-negative weights.

    Returns:
        ``sum_tj weights[t, j] * (logsumexp_{n >= 1} <hidden_t, items_n> - <hidden_t, items_y>)``.
    """
    device = hidden.device.type
    fast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if fast else items.dtype
    total: Tensor = _CatalogCrossEntropy.apply(
        hidden.to(items.dtype), items, targets, weights, dtype
    )
    return total

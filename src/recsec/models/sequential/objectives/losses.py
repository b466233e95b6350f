"""Losses over the whole catalog, computed in chunks together with their gradient.

Scores of T tokens against N items would fill T x N floats, written and read several times: memory
traffic, not arithmetic, is what a full softmax costs on a CPU. Here a chunk of tokens at a time is
scored, turned into the gradient of the loss and multiplied back while it is still in cache, so the
peak is one chunk and the backward pass is a scaling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Kernel", "Seen", "catalog_loss", "cross_entropy", "history_of"]

CHUNK = 512

CELLS = 1 << 26
"""Scores in a chunk off the CPU: there starting a product costs more than memory traffic."""

Kernel: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""``kernel(logits (C, N + 1), targets (C, J), weights (C, J), gradient (C, N + 1)) -> loss ()``.

Sums the loss of C tokens and overwrites ``gradient`` with its derivative by ``logits``. Logits of
-inf take no part: their gradient must be 0."""

Seen: TypeAlias = Callable[[slice | Tensor], Tensor]
"""``seen(part) -> (C, L)``: for a chunk of tokens, or those of the given numbers, catalog indices
filled up with 0.

A function, because for all tokens at once these indices would be larger than the batch."""


def history_of(
    windows: Int[Tensor, "B L"],
    row: Int[Tensor, " T"],
    column: Int[Tensor, " T"],
    wanted: Int[Tensor, "T 1"] | None = None,
) -> Seen:
    """What each token has seen: its window up to and including its own position.

    Args:
        windows: the batch.
        row: the window of each token.
        column: its position there.
        wanted: an index per token that is left out, so that a repeated item can be a target.
    """
    places = torch.arange(windows.shape[1], device=windows.device)

    def seen(part: slice | Tensor) -> Tensor:
        indices = windows[row[part]] * (places <= column[part, None])
        return indices if wanted is None else indices.masked_fill_(indices == wanted[part], 0)

    return seen


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor, gradient: Tensor) -> Tensor:
    """Kernel of ``sum_tj weights[t, j] (logsumexp(logits[t]) - logits[t, targets[t, j]])``.

    A target of weight 0 may be any index, so short lists are filled with 0.
    """
    torch.softmax(logits, dim=1, out=gradient)
    found = gradient.gather(1, targets).float().clamp_min_(torch.finfo(torch.float32).tiny)
    loss = -(weights * found.log_()).sum(dtype=torch.float64)
    gradient.mul_(weights.sum(dim=1, keepdim=True).to(gradient.dtype))
    gradient.scatter_add_(1, targets, -weights.to(gradient.dtype))
    return loss


class _CatalogLoss(torch.autograd.Function):
    """The sum and its gradients, both in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        items: Tensor,
        targets: Tensor,
        weights: Tensor,
        seen: Seen | None,
        kernel: Kernel,
        dtype: torch.dtype,
    ) -> Tensor:
        table = items.to(dtype)
        grad_hidden = torch.empty_like(hidden)
        grad_items = torch.zeros_like(items)
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        chunk = CHUNK if hidden.device.type == "cpu" else max(CHUNK, CELLS // len(items))
        size = (min(chunk, len(hidden)), len(items))
        logits = torch.empty(size, dtype=dtype, device=hidden.device)
        gradient = torch.empty_like(logits)
        for start in range(0, len(hidden), chunk):
            part = slice(start, start + chunk)
            x = hidden[part].to(dtype)
            logits, gradient = logits[: len(x)], gradient[: len(x)]
            torch.mm(x, table.T, out=logits)
            logits[:, 0] = float("-inf")
            if seen is not None:
                logits.scatter_(1, seen(part), float("-inf"))
            total += kernel(logits, targets[part], weights[part], gradient)
            grad_hidden[part] = gradient @ table
            grad_items += gradient.T @ x
        ctx.save_for_backward(grad_hidden, grad_items)
        return total.to(hidden.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_items = ctx.saved_tensors
        return grad_hidden * grads[0], grad_items * grads[0], None, None, None, None, None


def catalog_loss(
    hidden: Float[Tensor, "T D"],
    items: Float[Tensor, "N1 D"],
    targets: Int[Tensor, "T J"],
    weights: Float[Tensor, "T J"],
    *,
    seen: Seen | None = None,
    kernel: Kernel = cross_entropy,
) -> Float[Tensor, ""]:
    """Sum over T tokens of a loss on the scores ``<hidden_t, items_n>`` of all items n >= 1.

    With one target of weight 1 and the default kernel it is the full-softmax next-item loss; with
    the K items of a list and weights by rank it distills lists. Gradients flow to ``hidden`` and
    ``items``. Under autocast the matrix products run in its dtype: bfloat16 halves the traffic and
    keeps two to three significant digits of each probability.

    Args:
        hidden: token representations.
        items: output embeddings; row 0 is padding and takes no part.
        targets: catalog indices, J per token.
        weights: non-negative; their meaning is the kernel's.
        seen: indices that take no part in a token's loss, such as its history where lists exclude
            it. None of them may be a target of positive weight.
        kernel: the loss.
    """
    device = hidden.device.type
    fast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if fast else items.dtype
    total: Tensor = _CatalogLoss.apply(  # type: ignore[no-untyped-call]
        hidden.to(items.dtype), items, targets, weights, seen, kernel, dtype
    )
    return total

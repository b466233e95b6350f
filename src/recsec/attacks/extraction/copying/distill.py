"""What a thief can learn from a list: losses on the scores of the surrogate.

All are kernels of ``recsec.models.sequential.objectives.losses.catalog_loss``: they see the scores
of a few hundred histories at a time and never loop over sequences, ranks or negatives.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from recsec.attacks.extraction.config import Loss
from recsec.errors import ConfigError
from recsec.models.sequential.objectives.losses import Kernel, cross_entropy

__all__ = ["KERNELS", "list_mle", "pairwise_hinge", "rank_weights", "set_kernel"]

RANK_MARGIN = 0.75
NEGATIVE_MARGIN = 1.5


def rank_weights(k: int, *, device: torch.device | None = None) -> Float[Tensor, " K"]:
    """``w_j`` proportional to ``1 / j`` for rank j = 1..K, summing to 1.

    The discount of NDCG, ``1 / log2(j + 1)``, is flatter and spends most of a long list's weight on
    its tail; in a pilot on ML-1M with k = 100 it bought less agreement for the same calls.

    >>> [round(w, 3) for w in rank_weights(3).tolist()]
    [0.545, 0.273, 0.182]
    """
    weights = 1 / torch.arange(1, k + 1, dtype=torch.float32, device=device)
    return weights / weights.sum()


def list_mle(logits: Tensor, targets: Tensor, weights: Tensor, gradient: Tensor) -> Tensor:
    """Kernel of the top-k list likelihood under Plackett-Luce over the whole catalog.

    ``sum_j w_j (log sum_{n not in y_1..y_{j-1}} exp s_n - s_{y_j})``: each list item competes with
    everything that does not stand before it. With p the softmax of s,
    ``r_j = 1 - sum_{i<j} p_{y_i}`` and ``S_j = sum_{i<=j} w_i / r_i``, the gradient is
    ``S_K p_n`` outside the list and ``S_i p_{y_i} - w_i`` at its i-th item.

    Source: Xia et al., "Top-k Consistency of Learning to Rank Methods", NeurIPS 2009. Remaining
    mass below 1e-4 is cut off there, where the precision of p ends.
    """
    torch.softmax(logits, dim=1, out=gradient)
    found = gradient.gather(1, targets).float()
    rest = (1 - (found.cumsum(dim=1) - found)).clamp_min_(1e-4)
    tiny = torch.finfo(torch.float32).tiny
    loss = (weights * (rest.log() - found.clamp_min(tiny).log())).sum(dtype=torch.float64)
    pull = (weights / rest).cumsum(dim=1)
    gradient.mul_(pull[:, -1:].to(gradient.dtype))
    at_list = found * (pull - pull[:, -1:]) - weights
    gradient.scatter_add_(1, targets, at_list.to(gradient.dtype))
    return loss


def pairwise_hinge(
    logits: Tensor, targets: Tensor, weights: Tensor, gradient: Tensor, *, ordered: bool = True
) -> Tensor:
    """Kernel of the pairwise hinge loss of the literature.

    ``sum_{j<K} max(0, s_{j+1} - s_j + m1) / (K - 1) + sum_j max(0, s_neg(j) - s_j + m2) / K`` with
    the scores in the order of the list and K negatives. Margins of ML-1M: m1 = 0.75, m2 = 1.5.

    Source: Yue et al., "Black-Box Attacks on Sequential Recommenders via Data-Free Model
    Extraction", RecSys 2021, margins of arXiv 2411.11677, table 2. Departures: the published code
    may draw list items as negatives, here the negatives are the K best-scored items outside the
    list, which need no random numbers and are the ones that would enter it.

    Without ``ordered`` the first sum is left out: any order of the list will do.
    """
    k = targets.shape[1]
    real = weights > 0
    scores = logits.gather(1, targets).float()
    gradient.copy_(logits).scatter_(1, targets, float("-inf"))
    best, negatives = gradient.topk(min(k, gradient.shape[1] - 1), dim=1)
    gap = best.float() - scores[:, : best.shape[1]] + NEGATIVE_MARGIN
    counted = real[:, : best.shape[1]] & torch.isfinite(best)
    active = (gap > 0) & counted
    loss = gap.where(active, 0).sum(dtype=torch.float64) / k
    push = active.to(gradient.dtype) / k
    gradient.zero_().scatter_add_(1, negatives, push)
    gradient.scatter_add_(1, targets[:, : best.shape[1]], -push)
    if ordered and k > 1:
        step = scores[:, 1:] - scores[:, :-1] + RANK_MARGIN
        wrong = (step > 0) & real[:, 1:]
        loss = loss + step.where(wrong, 0).sum(dtype=torch.float64) / (k - 1)
        move = wrong.to(gradient.dtype) / (k - 1)
        gradient.scatter_add_(1, targets[:, 1:], move)
        gradient.scatter_add_(1, targets[:, :-1], -move)
    return loss


KERNELS: dict[Loss, Kernel] = {
    "cross-entropy": cross_entropy,
    "listmle": list_mle,
    "hinge": pairwise_hinge,
}


def set_kernel(loss: Loss) -> Kernel:
    """What is left of a loss for a thief who doubts the order; its weights are all alike.

    Raises:
        ConfigError: nothing is left.
    """
    if loss == "listmle":
        raise ConfigError(
            "set-only leaves the order of a list out, and listmle is a loss on the order",
            hint="choose cross-entropy or hinge",
        )
    return partial(pairwise_hinge, ordered=False) if loss == "hinge" else KERNELS[loss]

"""Where the item that a user really chose stands in the ranking."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from recsec.types import FloatArray, IntArray

__all__ = ["hits", "list_ranks", "mrr", "ndcg", "target_ranks"]


def target_ranks(scores: Float[Tensor, "B N1"], targets: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Exact rank of one item per row among all N items, 1 is best.

    Ties count against the recommender: the rank is the number of items whose score is not lower,
    so equal scores for all items give rank N. A NaN counts as not lower, and a target whose own
    score is NaN or -inf (masked because it is in the history) gets rank N + 1: it is in no list.

    Args:
        scores: column 0 (padding) is ignored; mask history items to -inf before.
        targets: catalog indices 1..N.

    >>> import torch
    >>> scores = torch.tensor([[9.0, 0.1, 0.7, 0.7], [9.0, 0.1, 0.7, 0.2]])
    >>> target_ranks(scores, torch.tensor([2, 2])).tolist()
    [2, 1]
    """
    own = scores.gather(1, targets[:, None])
    ranks = scores.shape[1] - 1 - (scores[:, 1:] < own).sum(dim=1)
    unranked = own[:, 0].isnan() | own[:, 0].isneginf()
    return ranks.masked_fill_(unranked, scores.shape[1])


def list_ranks(lists: IntArray, targets: IntArray) -> IntArray:
    """Rank of one item per row where only the best K are known; K + 1 stands for "not listed".

    Args:
        lists: ``(U, K)`` int64, best first, zeros where a list is short.
        targets: ``(U,)`` int64 catalog indices.

    >>> list_ranks(np.array([[4, 2, 9], [4, 2, 9]]), np.array([2, 5]))
    array([2, 4])
    """
    found = lists == targets[:, None]
    ranks: IntArray = np.where(found.any(axis=1), found.argmax(axis=1) + 1, lists.shape[1] + 1)
    return ranks


def hits(ranks: IntArray, k: int) -> FloatArray:
    """HR@k per user: 1 where the rank is at most ``k``, else 0. ``(U,)`` to ``(U,)``."""
    return (ranks <= k).astype(np.float64)


def ndcg(ranks: IntArray, k: int) -> FloatArray:
    """NDCG@k per user with one relevant item: ``1 / log2(1 + rank)`` up to rank ``k``, else 0.

    >>> ndcg(np.array([1, 3, 11]), 10)
    array([1. , 0.5, 0. ])
    """
    return np.where(ranks <= k, 1.0 / np.log2(1.0 + ranks), 0.0)


def mrr(ranks: IntArray, k: int) -> FloatArray:
    """MRR@k per user: ``1 / rank`` up to rank ``k``, else 0. ``(U,)`` to ``(U,)``."""
    return np.where(ranks <= k, 1.0 / ranks, 0.0)

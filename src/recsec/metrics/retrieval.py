"""How good lists of neighbors are, and whom they list too often. Pure functions on tensors."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

__all__ = ["average_precision_at_r", "hubness", "occurrences", "precision"]


def precision(labels: Int[Tensor, " B"], found: Int[Tensor, "B K"], k: int) -> Tensor:
    """Share of the first k neighbors of each query that have its label: ``(B,)`` float64.

    Args:
        labels: of the queries.
        found: labels of their neighbors, nearest first; -1 where a list ends early, which counts
            as a miss.
        k: at most K.

    >>> precision(torch.tensor([4]), torch.tensor([[4, 4, 1, -1]]), 4)
    tensor([0.5000], dtype=torch.float64)
    """
    if not 1 <= k <= found.shape[1]:
        raise ValueError(f"k = {k}: expected 1 to {found.shape[1]}, the length of the lists")
    return (found[:, :k] == labels[:, None]).double().mean(dim=1)


def average_precision_at_r(same: Bool[Tensor, "B K"], relevant: Int[Tensor, " B"]) -> Tensor:
    """mAP@R of each query, ``(B,)`` float64: precision at every hit among the first R, over R.

    R is the number of photos that share the query's label, so a perfect list scores 1. A query
    without any is NaN.

    Source: Musgrave et al., A Metric Learning Reality Check (2020), section 3.2.

    Args:
        same: whether the neighbor at each place has the query's label; K >= max(relevant).
        relevant: R of each query.

    >>> average_precision_at_r(torch.tensor([[True, False, True, True]]), torch.tensor([3]))
    tensor([0.5556], dtype=torch.float64)
    """
    width = same.shape[1]
    if len(relevant) and int(relevant.max()) > width:
        raise ValueError(f"lists of {width} are shorter than R = {int(relevant.max())}")
    places = torch.arange(1, width + 1, device=same.device)
    hits = same & (places <= relevant[:, None])
    precisions = hits.cumsum(dim=1).double() / places
    return (precisions * hits).sum(dim=1) / relevant


def occurrences(lists: Int[Tensor, "B K"], n: int) -> Int[Tensor, " N"]:
    """How often each of ``n`` rows stands in the lists; -1 stands for none."""
    return torch.bincount(lists[lists >= 0], minlength=n)


def hubness(counts: Int[Tensor, " N"]) -> float:
    """Skewness of the occurrences: 0 if all photos are listed alike, large if some are hubs.

    Source: Radovanović et al., Hubs in Space, JMLR 11 (2010), equation 1.
    """
    x = counts.double()
    centered = x - x.mean()
    deviation = centered.square().mean().sqrt()
    if float(deviation) == 0:
        return 0.0
    return float((centered**3).mean() / deviation**3)

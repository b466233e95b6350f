"""The list losses against autograd on the plain formulas, and what they are for."""

import pytest
import torch

from recsec.attacks.extraction.copying.distill import (
    KERNELS,
    NEGATIVE_MARGIN,
    RANK_MARGIN,
    rank_weights,
)
from recsec.models.sequential.objectives.losses import catalog_loss


def lists_and_scores(seed: int, k: int = 5, rows: int = 6, items: int = 40):
    rng = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, 8, generator=rng, dtype=torch.float32, requires_grad=True)
    table = torch.randn(items + 1, 8, generator=rng, requires_grad=True)
    lists = torch.stack([torch.randperm(items, generator=rng)[:k] + 1 for _ in range(rows)])
    return hidden, table, lists


def plain_list_mle(scores, lists, weights):
    """Remove the items of the list one after the other."""
    total = scores.new_zeros(())
    for row in range(len(lists)):
        left = scores[row].clone()
        left[0] = float("-inf")
        for at, item in enumerate(lists[row].tolist()):
            total = total + weights[row, at] * (left.logsumexp(0) - left[item])
            left = left.masked_fill(torch.arange(len(left)) == item, float("-inf"))
    return total


def plain_hinge(scores, lists):
    total = scores.new_zeros(())
    for row in range(len(lists)):
        s = scores[row, lists[row]]
        outside = [n for n in range(1, scores.shape[1]) if n not in lists[row].tolist()]
        best = scores[row, outside].sort(descending=True).values[: len(s)]
        total = total + (s[1:] - s[:-1] + RANK_MARGIN).clamp(min=0).mean()
        total = total + (best - s + NEGATIVE_MARGIN).clamp(min=0).mean()
    return total


@pytest.mark.parametrize("loss", ["listmle", "hinge"])
def test_kernels_equal_the_plain_formula(loss):
    hidden, table, lists = lists_and_scores(3)
    weights = rank_weights(5).expand(len(lists), -1).contiguous()
    ours = catalog_loss(hidden, table, lists, weights, kernel=KERNELS[loss])
    scores = hidden @ table.T
    theirs = (
        plain_list_mle(scores, lists, weights) if loss == "listmle" else plain_hinge(scores, lists)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for a, b in zip(
        torch.autograd.grad(ours, [hidden, table]),
        torch.autograd.grad(theirs, [hidden, table]),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loss", sorted(KERNELS))
def test_minimizing_recovers_the_list_in_order(loss):
    _, _, lists = lists_and_scores(5, k=4, rows=3, items=12)
    scores = torch.zeros(3, 13, requires_grad=True)
    weights = rank_weights(4).expand(3, -1).contiguous()
    optimizer = torch.optim.Adam([scores], lr=0.1)
    identity = torch.eye(13)
    for _ in range(300):
        optimizer.zero_grad()
        total = catalog_loss(scores, identity, lists, weights, kernel=KERNELS[loss])
        total.backward()
        optimizer.step()
    scores.data[:, 0] = -100
    assert scores.topk(4, dim=1).indices.tolist() == lists.tolist()

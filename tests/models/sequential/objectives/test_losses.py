"""The chunked losses against autograd on the plain formulas."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from recsec.models.sequential.objectives import losses
from recsec.models.sequential.objectives.losses import catalog_loss, history_of


@pytest.fixture
def problem(monkeypatch: pytest.MonkeyPatch):
    """Hidden states, item table, targets and weights, with chunks smaller than the batch."""
    monkeypatch.setattr(losses, "CHUNK", 7)
    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(20, 8, generator=rng, requires_grad=True)
    items = torch.randn(31, 8, generator=rng, requires_grad=True)
    targets = torch.stack([torch.randperm(30, generator=rng)[:4] + 1 for _ in range(20)])
    weights = torch.rand(20, 4, generator=rng)
    return hidden, items, targets, weights


def plain(hidden, items, targets, weights, seen=None):
    """The formula in the docstring, all scores at once."""
    scores = hidden @ items.T
    blocked = torch.zeros_like(scores, dtype=torch.bool)
    blocked[:, 0] = True
    if seen is not None:
        blocked.scatter_(1, seen, True)
    log_p = scores.masked_fill(blocked, float("-inf")).log_softmax(dim=1)
    return -(weights * log_p.gather(1, targets)).sum()


def gradients(loss, hidden, items):
    return torch.autograd.grad(loss, [hidden, items])


def test_next_item_loss_equals_cross_entropy(problem):
    hidden, items, targets, _ = problem
    first = targets[:, :1]
    ours = catalog_loss(hidden, items, first, torch.ones_like(first, dtype=torch.float32))
    theirs = F.cross_entropy((hidden @ items.T)[:, 1:], first[:, 0] - 1, reduction="sum")
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(gradients(ours, hidden, items), gradients(theirs, hidden, items), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("with_history", [False, True])
def test_weighted_lists_and_excluded_items(problem, with_history):
    hidden, items, targets, weights = problem
    seen = None
    if with_history:
        seen = torch.randint(0, 31, (20, 6), generator=torch.Generator().manual_seed(1))
        seen[(seen[:, :, None] == targets[:, None, :]).any(dim=2)] = 0
    by_part = None if seen is None else seen.__getitem__
    ours = catalog_loss(hidden, items, targets, weights, seen=by_part)
    theirs = plain(hidden, items, targets, weights, seen)
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(gradients(ours, hidden, items), gradients(theirs, hidden, items), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_target_of_weight_zero_does_nothing(problem):
    hidden, items, targets, weights = problem
    weights[:, 2:] = 0
    short = targets.clone()
    short[:, 2:] = 0
    with_fill = catalog_loss(hidden, items, short, weights)
    without = catalog_loss(hidden, items, targets[:, :2], weights[:, :2].contiguous())
    torch.testing.assert_close(with_fill, without)


def test_bfloat16_is_close(problem):
    hidden, items, targets, weights = problem
    exact = catalog_loss(hidden, items, targets, weights)
    with torch.autocast("cpu", torch.bfloat16):
        rough = catalog_loss(hidden, items, targets, weights)
    torch.testing.assert_close(rough, exact, rtol=0.02, atol=0.0)
    assert not torch.equal(rough, exact)
    for a, b in zip(gradients(rough, hidden, items), gradients(exact, hidden, items), strict=True):
        cosine = F.cosine_similarity(a.flatten(), b.flatten(), dim=0)
        assert cosine > 0.999


def test_a_token_has_seen_its_window_so_far_but_not_what_it_wants():
    windows = torch.tensor([[5, 6, 5, 0], [7, 8, 9, 7]])
    row, column = torch.tensor([0, 0, 1]), torch.tensor([0, 2, 3])
    wanted = torch.tensor([[6], [5], [1]])
    assert history_of(windows, row, column)(slice(1, 3)).tolist() == [[5, 6, 5, 0], [7, 8, 9, 7]]
    assert history_of(windows, row, column, wanted)(slice(0, 3)).tolist() == [
        [5, 0, 0, 0],
        [0, 6, 0, 0],
        [7, 8, 9, 7],
    ]

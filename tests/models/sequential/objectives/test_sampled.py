"""The sampled softmax against the whole one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsec.data import load
from recsec.models import SasRecConfig, Training, train, why_sampled
from recsec.models.sequential.objectives import ranking, sampled
from recsec.models.sequential.objectives.losses import catalog_loss
from recsec.models.sequential.objectives.sampled import Drawn, Sampler, sampled_loss

ITEMS = 30


@pytest.fixture
def problem(monkeypatch):
    monkeypatch.setattr(sampled, "CHUNK", 7)
    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(20, 8, generator=rng, requires_grad=True)
    items = torch.randn(ITEMS + 1, 8, generator=rng, requires_grad=True)
    wanted = torch.randint(1, ITEMS + 1, (20, 1), generator=rng)
    seen = torch.randint(0, ITEMS + 1, (20, 6), generator=rng)
    return hidden, items, wanted, seen.masked_fill(seen == wanted, 0).__getitem__


def with_gradients(loss, *leaves):
    return [loss.detach(), *torch.autograd.grad(loss, leaves)]


def whole(hidden, items, wanted, seen):
    ones = torch.ones_like(wanted, dtype=torch.float32)
    return with_gradients(catalog_loss(hidden, items, wanted, ones, seen=seen), hidden, items)


@pytest.mark.parametrize("with_history", [False, True])
def test_every_item_drawn_once_is_the_whole_softmax(problem, with_history):
    hidden, items, wanted, history = problem
    seen = history if with_history else None
    drawn = Drawn(torch.randperm(ITEMS) + 1, torch.zeros(ITEMS))
    ours = with_gradients(sampled_loss(hidden, items, wanted, drawn, seen=seen), hidden, items)
    for one, other in zip(ours, whole(hidden, items, wanted, seen), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_draws_of_unlike_chances_estimate_it(problem):
    """Weights undo how often an item is drawn; a wrong one would show at this many draws."""
    hidden, items, wanted, seen = problem
    counts = np.concatenate([[0], np.arange(ITEMS) ** 2])
    drawn = Sampler(counts).draw(60_000, torch.Generator().manual_seed(1), torch.device("cpu"))
    assert torch.bincount(drawn.items, minlength=ITEMS + 1)[1:].min() > 0
    ours = with_gradients(sampled_loss(hidden, items, wanted, drawn, seen=seen), hidden, items)
    theirs = whole(hidden, items, wanted, seen)
    torch.testing.assert_close(ours[0], theirs[0], rtol=0.01, atol=0)
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        assert (one - other).norm() < 0.03 * other.norm()


def test_large_catalogs_are_sampled_and_small_ones_are_not(monkeypatch):
    """It learns: the model that draws a quarter of the catalog is about as good."""
    split = load("synthetic:users=300,items=80").split()
    config = SasRecConfig(embedding_dim=16, blocks=1, max_length=30, epochs=6)
    assert why_sampled(len(split.catalog)) is None

    def trained() -> list[float]:
        model = train("sasrec", split, config, training=Training(device="cpu"))
        found = model.objective(split)
        assert (found.sampler is not None) == (sampled.CATALOG < 80)
        return found.validate()["ndcg@10"]

    full = trained()
    monkeypatch.setattr(sampled, "CATALOG", 50)
    monkeypatch.setattr(ranking, "DRAWN", 20)
    assert "half by popularity and half evenly" in (why_sampled(len(split.catalog)) or "")
    some, again = trained(), trained()
    assert some == again, "draws follow from the seed"
    assert some > 0.8 * full

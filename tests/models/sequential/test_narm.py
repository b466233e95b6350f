"""NARM against a plain implementation with the same weights."""

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.models import Narm, NarmConfig
from recsec.models.sequential.narm import local_attention
from recsec.rng import Streams


@pytest.fixture
def model():
    config = NarmConfig(embedding_dim=6, hidden_dim=10, max_length=7, dropout=0.5)
    model = Narm(Catalog.from_ids(list(range(20))), config)
    model.initialize(Streams(0).torch("weights"))
    rng = Streams(0).torch("vectors")
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, 0.0, 0.3, generator=rng)
    return model.eval()


def plain_forward(weights: dict[str, torch.Tensor], history: list[int]) -> torch.Tensor:
    """NARM written out for one history: loops over positions, no library layers."""
    state, states = torch.zeros(10), []
    for item in history:
        x = weights["items.weight"][item] * 6**0.5
        given = weights["recurrent.weight_ih_l0"] @ x + weights["recurrent.bias_ih_l0"]
        kept = weights["recurrent.weight_hh_l0"] @ state + weights["recurrent.bias_hh_l0"]
        reset = torch.sigmoid(given[:10] + kept[:10])
        update = torch.sigmoid(given[10:20] + kept[10:20])
        fresh = torch.tanh(given[20:] + reset * kept[20:])
        state = (1 - update) * fresh + update * state
        states.append(state)
    local = torch.zeros(10)
    for past in states:
        mixed = weights["query.weight"] @ state + weights["key.weight"] @ past
        local = local + (weights["gate.weight"][0] @ ((mixed + 3).clamp(0, 6) / 6)) * past
    return weights["items.weight"] @ (weights["decoder.weight"] @ torch.cat([state, local]))


@pytest.mark.parametrize("history", [[3], [3, 9, 20, 1], [5, 5, 5, 2, 8, 19, 4]])
def test_forward_equals_the_plain_reference(model, history):
    expected = plain_forward(model.state(), history)
    found = model.scores(np.array([history]))[0]
    torch.testing.assert_close(found[1:], expected[1:], rtol=1e-4, atol=1e-5)


def test_one_pass_over_all_prefixes_equals_one_pass_for_each(model):
    window = torch.tensor([[5, 1, 9, 2, 8], [7, 3, 0, 0, 0]])
    every = model.hidden(window)
    for row, length in ((0, 1), (0, 3), (0, 5), (1, 2)):
        alone = model.newest(window[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(every[row, length - 1], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cached", [1, 150, 10**6])
def test_gates_in_pieces_equal_all_at_once(monkeypatch, cached):
    monkeypatch.setattr("recsec.models.sequential.narm.CACHED", cached)
    rng = torch.Generator().manual_seed(1)
    parts = [torch.randn(2, 9, 5, generator=rng, requires_grad=True) for _ in range(3)]
    gate = torch.randn(5, generator=rng, requires_grad=True)
    query, key, value = parts
    sums = torch.nn.functional.hardsigmoid(3 * query[:, :, None] + 3 * key[:, None])
    expected = torch.tril(sums @ gate) @ value
    found = local_attention(3 * query, 3 * key, value, gate)
    torch.testing.assert_close(found, expected)
    pull = torch.randn(expected.shape, generator=rng)
    for a, b in zip(
        torch.autograd.grad(found, [*parts, gate], pull),
        torch.autograd.grad(expected, [*parts, gate], pull),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)

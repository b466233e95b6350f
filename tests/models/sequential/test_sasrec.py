"""SASRec against a plain implementation with the same weights."""

import math

import numpy as np
import pytest
import torch
from plain_transformer import block, norm, with_random_vectors

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError
from recsec.models import SasRec, SasRecConfig
from recsec.models.sequential.layers.attention import causal_attention


@pytest.fixture
def model():
    config = SasRecConfig(embedding_dim=12, blocks=2, heads=3, max_length=7, dropout=0.5)
    return with_random_vectors(SasRec(Catalog.from_ids(list(range(20))), config))


def plain_forward(weights: dict[str, torch.Tensor], history: list[int]) -> torch.Tensor:
    """SASRec written out for one history, without library layers."""
    xs = [
        weights["items.weight"][item] * math.sqrt(12) + weights["positions.weight"][at]
        for at, item in enumerate(history)
    ]
    for name in ("blocks.0", "blocks.1"):
        xs = block(weights, xs, name, heads=3, causal=True, activation=torch.relu)
    return weights["items.weight"] @ norm(weights, xs[-1], "norm")


@pytest.mark.parametrize("history", [[3], [3, 9, 20, 1], [5, 5, 5, 2, 8, 19, 4]])
def test_forward_equals_the_plain_reference(model, history):
    expected = plain_forward(model.state(), history)
    found = model.scores(np.array([history]))[0]
    torch.testing.assert_close(found[1:], expected[1:], rtol=1e-4, atol=1e-5)


def test_only_the_newest_items_count(model):
    long = np.array([[11, 12, 13, 5, 5, 5, 2, 8, 19, 4]])
    torch.testing.assert_close(model.scores(long), model.scores(long[:, -7:]))


def test_the_future_does_not_leak(model):
    window = torch.tensor([[1, 2, 3, 4, 5]])
    changed = torch.tensor([[1, 2, 3, 9, 9]])
    torch.testing.assert_close(model.hidden(window)[:, :3], model.hidden(changed)[:, :3])
    assert not torch.allclose(model.hidden(window)[:, 3], model.hidden(changed)[:, 3])


def test_sliding_reencodes_and_stays_equal(model):
    rng = np.random.default_rng(0)
    histories = rng.integers(1, 21, (3, 5))
    state = model.open(histories)
    for _ in range(5):
        items = rng.integers(1, 21, 3)
        histories = np.concatenate([histories, items[:, None]], axis=1)
        state = model.extend(state, items)
        torch.testing.assert_close(
            model.state_scores(state), model.scores(histories), rtol=1e-4, atol=1e-5
        )
    assert state.reencoded == 3


def test_training_attention_equals_the_fused_kernel():
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 4, generator=rng, requires_grad=True) for _ in range(3))
    explicit = causal_attention(q, k, v)
    with torch.no_grad():
        fused = causal_attention(q, k, v)
    assert explicit.requires_grad
    assert not fused.requires_grad
    torch.testing.assert_close(explicit, fused)


def test_width_must_divide_by_heads():
    with pytest.raises(ConfigError, match="multiple of heads"):
        SasRec(Catalog.from_ids([1, 2]), SasRecConfig(embedding_dim=10, heads=3))

"""SASRec against a plain implementation with the same weights."""

import math

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError
from recsec.models import SasRec, SasRecConfig
from recsec.models.attention import causal_attention
from recsec.rng import Streams


@pytest.fixture
def model():
    config = SasRecConfig(embedding_dim=12, blocks=2, heads=3, max_length=7, dropout=0.5)
    model = SasRec(Catalog.from_ids(list(range(20))), config)
    model.initialize(Streams(0).torch("weights"))
    rng = Streams(0).torch("vectors")
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.3, generator=rng)
    return model.eval()


def plain_forward(weights: dict[str, torch.Tensor], history: list[int], heads: int) -> torch.Tensor:
    """SASRec written out for one history: loops over positions and heads, no library layers."""

    def norm(x, name):
        centered = x - x.mean()
        scaled = centered / torch.sqrt((centered**2).mean() + 1e-5)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(x, name):
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    xs = [
        weights["items.weight"][item] * math.sqrt(12) + weights["positions.weight"][at]
        for at, item in enumerate(history)
    ]
    width = len(xs[0]) // heads
    for block in range(2):
        name = f"blocks.{block}"
        qkv = [linear(norm(x, f"{name}.attention_norm"), f"{name}.qkv") for x in xs]
        attended = []
        for at in range(len(xs)):
            parts = []
            for head in range(heads):
                span = slice(head * width, (head + 1) * width)
                q = qkv[at][:36][:12][span]
                logits = torch.stack([q @ row[12:24][span] for row in qkv[: at + 1]])
                share = torch.softmax(logits / math.sqrt(width), 0)
                parts.append(
                    sum(p * row[24:36][span] for p, row in zip(share, qkv[: at + 1], strict=True))
                )
            attended.append(torch.cat(parts))
        xs = [x + linear(a, f"{name}.out") for x, a in zip(xs, attended, strict=True)]
        xs = [
            x
            + linear(torch.relu(linear(norm(x, f"{name}.feed_norm"), f"{name}.up")), f"{name}.down")
            for x in xs
        ]
    return weights["items.weight"] @ norm(xs[-1], "norm")


@pytest.mark.parametrize("history", [[3], [3, 9, 20, 1], [5, 5, 5, 2, 8, 19, 4]])
def test_forward_equals_the_plain_reference(model, history):
    expected = plain_forward(model.state(), history, heads=3)
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

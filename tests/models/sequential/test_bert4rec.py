"""BERT4Rec against a plain implementation with the same weights, and what its cloze hides."""

import math

import numpy as np
import pytest
import torch
from plain_transformer import block, linear, norm, with_random_vectors

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out
from recsec.models import Bert4Rec, Bert4RecConfig, Training, train
from recsec.models.sequential.layers.attention import padded_attention
from recsec.models.sequential.objectives.cloze import hide


@pytest.fixture
def model():
    config = Bert4RecConfig(embedding_dim=12, blocks=2, heads=3, max_length=7, dropout=0.5)
    return with_random_vectors(Bert4Rec(Catalog.from_ids(list(range(20))), config))


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def plain_forward(weights: dict[str, torch.Tensor], history: list[int]) -> torch.Tensor:
    """BERT4Rec written out for one history and a mask at its end, without library layers."""
    embedded = [*(weights["items.weight"][item] for item in history), weights["mask.weight"][0]]
    xs = [x + weights["positions.weight"][at] for at, x in enumerate(embedded)]
    for name in ("blocks.0", "blocks.1"):
        xs = block(weights, xs, name, heads=3, causal=False, activation=gelu)
    last = gelu(linear(weights, norm(weights, xs[-1], "norm"), "head"))
    return weights["items.weight"] @ norm(weights, last, "head_norm") + weights["bias"]


@pytest.mark.parametrize("history", [[], [3], [3, 9, 20, 1], [5, 5, 2, 8, 19, 4]])
def test_forward_equals_the_plain_reference(model, history):
    expected = plain_forward(model.state(), history)
    found = model.scores(np.array([history], dtype=np.int64))[0]
    torch.testing.assert_close(found[1:], expected[1:], rtol=1e-4, atol=1e-5)


def test_the_mask_takes_one_of_the_positions(model):
    long = np.array([[11, 12, 13, 5, 5, 2, 8, 19, 4]])
    torch.testing.assert_close(model.scores(long), model.scores(long[:, -6:]))
    assert not torch.allclose(model.scores(long), model.scores(long[:, -5:]))


def test_both_sides_are_read_and_what_is_masked_is_not(model):
    window, masked = torch.tensor([[1, 2, 3, 4, 5]]), torch.zeros(1, 5, dtype=torch.bool)
    masked[0, 2] = True
    here = model.encode(window, masked)[0, 2]
    for place, changes in ((0, True), (4, True), (2, False)):
        other = window.clone()
        other[0, place] = 9
        assert torch.allclose(here, model.encode(other, masked)[0, 2]) != changes


def test_training_attention_equals_the_fused_kernel():
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 4, generator=rng, requires_grad=True) for _ in range(3))
    real = torch.arange(9) < torch.tensor([[9], [4]])
    explicit = padded_attention(q, k, v, real)
    with torch.no_grad():
        fused = padded_attention(q, k, v, real)
    torch.testing.assert_close(explicit, fused)


def test_hiding_hides_the_share_that_was_asked_for():
    rng = np.random.default_rng(0)
    windows = np.where(np.arange(50) < rng.integers(0, 51, 2000)[:, None], 7, 0)
    row, column = hide(windows, 0.3, 0.0, rng)
    assert (windows[row, column] > 0).all()
    assert len(row) / (windows > 0).sum() == pytest.approx(0.3, abs=0.01)
    assert set(row) == set(np.flatnonzero(windows[:, 0] > 0)), "every window has a task"
    row, column = hide(windows, 0.3, 1.0, rng)
    assert (column == (windows > 0).sum(axis=1)[row] - 1).all()
    assert len(row) == len(set(row))


def test_the_loss_is_that_of_the_masked_items_among_those_not_visible(model):
    split = leave_one_out(Sequences.from_lists(model.catalog, [[1, 2, 3, 4, 5]]))
    items = np.array([[4, 8, 15, 16, 2, 0]])
    masked = torch.tensor([[False, True, False, True, False, False]])
    loss = model.objective(split)((items, np.array([0, 0]), np.array([1, 3])))
    scores = model.encode(torch.from_numpy(items), masked)[0] @ model.item_table().T
    scores[:, [0, 4, 15, 2]] = float("-inf")
    expected = [-scores[place].log_softmax(0)[item] for place, item in ((1, 8), (3, 16))]
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_training_finds_a_planted_cycle():
    """Item i is followed by i + 1: nothing but order tells what comes next."""
    rng = np.random.default_rng(0)
    rows = [((rng.integers(12) + np.arange(rng.integers(5, 10))) % 12 + 1) for _ in range(150)]
    catalog = Catalog.from_ids(list(range(12)))
    split = leave_one_out(Sequences.from_lists(catalog, [row.tolist() for row in rows]))
    sizes = {"embedding_dim": 16, "blocks": 1, "max_length": 10, "batch_size": 8, "epochs": 20}
    config = Bert4RecConfig(**sizes, mask_share=0.4, only_last=0.5, lr=1e-2)
    model = train("bert4rec", split, config, training=Training(device="cpu"))
    batch = next(split.batches("test"))
    assert np.mean(model.top_k(batch.histories, 1)[:, 0] == batch.targets) > 0.8

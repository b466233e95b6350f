"""The inner attack raises its loss inside the ball, and leaves the encoder that learns alone."""

import numpy as np
import pytest
import torch

from recsec.hardening.visual.losses import (
    feature_distance,
    hard_targets,
    item_margin,
    shift,
    toward,
)
from recsec.hardening.visual.probe import Probe, step_size
from recsec.hardening.visual.robust import View
from recsec.hardening.visual.target import TargetConfig, TargetObjective
from recsec.hardening.visual.trades_embedding import TradesEmbeddingConfig, TradesEmbeddingObjective
from recsec.rng import Streams


@pytest.fixture
def objective(encoder, split):
    import copy

    config = TradesEmbeddingConfig(batch_size=24)
    return TradesEmbeddingObjective(copy.deepcopy(encoder), split, config)


def first_view(objective) -> View:
    """The first batch of the first epoch, as a method gets it."""
    seen = []
    objective.loss = lambda view: seen.append(view) or torch.zeros(())
    objective(objective.epoch(Streams(0).numpy("batches"))[0])
    del objective.loss
    return seen[0]


def test_it_raises_its_loss_inside_the_ball(objective):
    view = first_view(objective)
    own = view.embedded()
    noise = view.ascend(lambda x: 0 * x.sum((1, 2, 3)), eps=0.05, steps=1)
    attacked = view.ascend(lambda x: shift(view.frozen(x), own), eps=0.05, steps=5)
    assert float((attacked - view.images).abs().max()) <= 0.05 + 1e-6
    assert 0 <= float(attacked.min()) <= float(attacked.max()) <= 1
    moved = [float(shift(view.frozen(x), own).mean()) for x in (view.images, noise, attacked)]
    assert moved[0] < 1e-5
    assert moved[2] > 3 * moved[1]


def test_the_encoder_that_learns_is_not_touched_by_it(objective):
    encoder = objective.encoder.train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    view = first_view(objective)
    own = view.embedded()
    view.ascend(lambda x: shift(view.frozen(x), own), eps=0.05, steps=3)
    assert all(p.grad is None for p in encoder.parameters())
    assert all(p.requires_grad for p in encoder.parameters())
    assert encoder.training
    assert not view.frozen.training
    assert not any(p.requires_grad for p in view.frozen.parameters())
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_one_step_updates_running_statistics_once(objective):
    objective.train()
    batch = objective.epoch(Streams(0).numpy("batches"))[0]
    counts = [m for m in objective.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    before = [int(m.num_batches_tracked) for m in counts]
    objective(batch).backward()
    assert [int(m.num_batches_tracked) - b for m, b in zip(counts, before, strict=True)] == [
        1 for _ in counts
    ]
    missing = [name for name, p in objective.encoder.named_parameters() if p.grad is None]
    assert missing == []


def test_parameters_learn_under_autocast_too(encoder, split):
    """A copy that is attacked in bfloat16 must not leave casts without gradient behind."""
    objective = TargetObjective(encoder, split, TargetConfig(batch_size=24))
    batch = objective.epoch(Streams(0).numpy("batches"))[0]
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective(batch)
    found = torch.autograd.grad(loss, list(encoder.parameters()))
    assert all(float(gradient.abs().sum()) > 0 for gradient in found)


def test_the_loss_of_a_batch_does_not_depend_on_what_was_drawn_before(objective):
    batches = objective.epoch(Streams(3).numpy("batches"))
    objective.eval()
    alone = float(objective(batches[1]).detach())
    objective(batches[0])
    assert float(objective(batches[1]).detach()) == alone


def test_an_epoch_shows_every_photo_once_in_batches_of_the_methods_size(objective, split):
    batches = objective.epoch(Streams(0).numpy("batches"))
    sizes = {len(batch.rows) for batch in batches}
    assert len(batches) == -(-len(split.train) // 24)
    assert max(sizes) <= 24
    assert max(sizes) - min(sizes) <= 1
    assert np.array_equal(np.sort(np.concatenate([b.rows for b in batches])), split.train)
    assert len({batch.seed for batch in batches}) == len(batches)


def test_steps_reach_the_border_from_anywhere():
    assert step_size(0.05, 1) == pytest.approx(0.0625)
    assert step_size(0.05, 2) * 2 == pytest.approx(0.125)


def test_losses_by_hand():
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert float(shift(x, y)) == 1
    assert float(toward(y, x, y)) == 1
    assert float(toward(x, x, y)) == -1
    assert float(item_margin(x, x, y, 0.3)) == 0
    assert float(item_margin(y, x, y, 0.3)) == pytest.approx(1.3)
    a, b = torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    assert feature_distance(a, b).tolist() == [9 / 2, 1 / 2]
    assert torch.equal(feature_distance(10 * a, 10 * b), feature_distance(a, b))


def test_hard_targets_are_the_nearest_of_another_category():
    angles = torch.tensor([0.0, 0.1, 0.2, 1.0])
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels = torch.tensor([0, 0, 1, 1])
    draws = torch.Generator().manual_seed(0)
    assert hard_targets(vectors, labels, draws, blur=0.0).tolist() == [2, 2, 1, 1]
    many = torch.stack([hard_targets(vectors, labels, draws, blur=2.0) for _ in range(50)])
    assert set(many[:, 0].tolist()) == {2, 3}
    alone = hard_targets(vectors, torch.zeros(4, dtype=torch.int64), draws, blur=0.0)
    assert alone.tolist() == [0, 1, 2, 3]


def test_the_probe_is_the_same_every_time_and_falls_with_eps(encoder, split):
    probe = Probe.of(encoder, split)
    found = [probe.precision(eps=eps) for eps in (0.02, 0.3)]
    assert Probe.of(encoder, split).precision(eps=0.02) == found[0]
    assert found[1] < found[0] - 0.2

"""Carlini-Wagner, Square, transfer and the thesis' presets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsec.attacks.evasion import (
    CosineToTarget,
    Ensemble,
    ListOverlap,
    QueryMargin,
    Scene,
    SoftRank,
    evade,
    levels,
    open_attack,
)
from recsec.attacks.evasion.methods.square import square_share
from recsec.errors import ConfigError
from recsec.rng import Streams


def test_carlini_wagner_stays_in_the_ball_and_climbs(scene: Scene) -> None:
    found = evade(open_attack("cw-60", {"precision": "float32"}), scene, eps=0.1, rng=Streams(0))
    assert found.table["in_budget"].all()
    assert (found.table["rank_after"] < found.table["rank_before"]).mean() > 0.8


def test_carlini_wagner_moves_white_pixels() -> None:
    white = torch.ones(2, 3, 4, 4)
    goal = CosineToTarget(torch.tensor([[-1.0], [-1.0]]))
    tool = open_attack("cw-40", {"precision": "float32"})
    found = tool.perturb(
        lambda images: images.mean(dim=(1, 2, 3))[:, None], white, goal, eps=0.1, rng=Streams(0)
    )
    assert (found.images < 1 - 24 / 255).all()


def test_the_thesis_cw_leaves_the_ball_without_projection(scene: Scene) -> None:
    tool = open_attack("thesis-cw-100", {"weight": 1e4})
    loose = evade(tool, scene, eps=0.01, rng=Streams(0), project=False).table
    assert loose["linf"].max() > 0.03
    assert not loose["in_budget"].all()
    held = evade(tool, scene, eps=0.01, rng=Streams(0)).table
    assert held["in_budget"].all()


def test_the_thesis_cw_is_a_fresh_adam_every_step(toy: nn.Module, photos: Tensor) -> None:
    """Against the optimizer itself, rebuilt at each of three steps."""
    toy.eval()
    targets = toy(photos.flip(0)).detach()
    eps = 0.005
    w = torch.atanh((2 * photos - 1) * 0.999999)
    for _ in range(3):
        w = w.detach().requires_grad_(True)
        x = (w.tanh() + 1) / 2
        loss = 20 * (1 - (toy(x) * targets).sum(1)).sum()
        loss = loss + torch.relu((x - photos).abs() - eps).sum()
        w.grad = None
        optimizer = torch.optim.Adam([w], lr=5e-3)
        (w.grad,) = torch.autograd.grad(loss, w)
        optimizer.step()
    expected = (w.detach().tanh() + 1) / 2
    found = open_attack("thesis-cw-3").perturb(
        toy, photos, CosineToTarget(targets), eps=eps, rng=Streams(0)
    )
    same = (found.images - expected).abs() < 1e-5
    assert same.float().mean() > 0.99  # a sign near zero may flip


def test_the_thesis_pgd_walks_in_steps_of_one_kth(toy: nn.Module, photos: Tensor) -> None:
    toy.eval()
    targets = toy(photos.flip(0)).detach()
    x = photos.clone()
    for _ in range(4):
        x.requires_grad_(True)
        (gradient,) = torch.autograd.grad((toy(x) * targets).sum(), x)
        x = (x.detach() + 0.04 / 4 * gradient.sign()).clamp(0, 1)
    found = open_attack("thesis-pgd-4").perturb(
        toy, photos, CosineToTarget(targets), eps=0.04, rng=Streams(0)
    )
    assert ((found.images - x).abs() < 1e-5).float().mean() > 0.99
    once = open_attack("thesis-fgsm").perturb(
        toy, photos, CosineToTarget(targets), eps=0.04, rng=Streams(0)
    )
    assert once.backwards.tolist() == [1] * len(photos)


@pytest.mark.parametrize("oracle", ["scores", "ids"])
def test_square_never_asks_more_than_its_budget(scene: Scene, oracle: str) -> None:
    tool = open_attack("square-60", {"oracle": oracle, "k": 20})
    found = evade(tool, scene, eps=0.2, rng=Streams(0)).table
    assert found["in_budget"].all()
    assert found["queries"].max() <= 60
    assert found["backwards"].sum() == 0
    if oracle == "scores":
        assert (found["cosine_after"] > found["cosine_before"]).mean() > 0.7
    parts = evade(tool, scene, eps=0.2, rng=Streams(0), batch=5).table
    assert parts["rank_after"].to_list() == found["rank_after"].to_list()


def test_squares_shrink_as_in_the_paper() -> None:
    assert square_share(0, 10_000, 0.8) == 0.8
    assert square_share(51, 10_000, 0.8) == 0.2
    assert square_share(9_000, 10_000, 0.8) == pytest.approx(0.8 / 2**9)


def test_lists_alone_tell_how_near_an_image_is(scene: Scene) -> None:
    everything = torch.arange(len(scene))
    goal = scene.objective("lists", everything, None, k=20)
    assert isinstance(goal, ListOverlap)
    target = scene.index.vectors[scene.rows("targets", everything)]
    clean = scene.index.vectors[scene.rows("attackers", everything)]
    assert (goal.values(target) >= goal.values(clean)).all()
    assert (goal.values(target) > 10).all()


def test_transfer_from_the_model_itself_is_a_white_box(
    scene: Scene, make_network: Callable[[int], nn.Module]
) -> None:
    tool = open_attack("transfer-30", {"precision": "float32"})
    itself = evade(tool, scene, eps=0.1, rng=Streams(0), surrogate=make_network(0)).table
    strangers = Ensemble([make_network(5), make_network(6)])
    others = evade(tool, scene, eps=0.1, rng=Streams(0), surrogate=strangers).table

    def gain(table: object) -> float:
        return float((table["cosine_after"] - table["cosine_before"]).mean())  # type: ignore[index]

    assert gain(itself) > max(0.0, gain(others))
    with pytest.raises(ConfigError, match="needs surrogates"):
        evade(tool, scene, eps=0.1, rng=Streams(0))


def test_an_ensemble_gives_the_mean_cosine(
    photos: Tensor, make_network: Callable[[int], nn.Module]
) -> None:
    members = [make_network(seed) for seed in (1, 2, 3)]
    whole = Ensemble(members).eval()
    a, b = whole(photos), whole(photos.flip(0))
    each = [(one(photos) * one(photos.flip(0))).sum(1) for one in members]
    assert torch.allclose((a * b).sum(1), torch.stack(each).mean(0), atol=1e-5)


def test_one_image_enters_many_lists(scene: Scene) -> None:
    goals = torch.arange(40, 60)
    attackers = torch.arange(8)
    limits = torch.stack([scene.index.thresholds(goals, 10, one.expand(20)) for one in attackers])
    hub = SoftRank(scene.index.vectors[goals], limits, temperature=0.02)
    tool = open_attack("mi-40", {"precision": "float32"})
    found = tool.perturb(scene.embedder, scene.floats(attackers), hub, eps=0.1, rng=Streams(0))
    with torch.no_grad():
        before = scene.index.vectors[:8] @ hub.targets.T > limits
        after = scene.embedder(found.images) @ hub.targets.T > limits
    assert after.sum() > before.sum() + 8


def test_a_query_image_is_moved_until_the_target_is_first(scene: Scene) -> None:
    part = torch.arange(len(scene))
    goal = QueryMargin(
        scene.index.vectors, scene.rows("targets", part), scene.rows("attackers", part)
    )
    tool = open_attack("mi-30", {"precision": "float32"})
    found = tool.perturb(scene.embedder, scene.floats(part), goal, eps=0.2, rng=Streams(0))
    with torch.no_grad():
        vectors = scene.embedder(found.images)
    rows, _ = scene.index.neighbors(vectors, 1, exclude=goal.excluded)
    assert torch.equal(rows[:, 0] == goal.targets, goal.solved(vectors))
    assert goal.solved(vectors).float().mean() > 0.2


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("apgb", {}, "no attacks called 'apgb'"),
        ("apgd", {"step": 1}, "step: extra inputs"),
        ("noise-3", {}, "no steps to set"),
        ("fgsm-3", {}, "steps: input should be less than or equal to 1"),
    ],
)
def test_wrong_names_and_settings_are_told(
    name: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_attack(name, settings)


def test_names_carry_steps() -> None:
    assert open_attack("apgd-400").config.steps == 400
    assert open_attack("thesis-pgd-8").config.step_size == 1 / 8
    assert open_attack("square-1000").config.queries == 1000
    assert open_attack("thesis-cw").config.steps == 1000
    assert levels(0.03) == 7
    assert np.isclose(open_attack("thesis-pgd").config.step_size, 1 / 32)

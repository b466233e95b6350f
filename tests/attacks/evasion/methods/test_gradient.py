"""The gradient loop: truth in closed form, contracts, and what it must leave alone."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from recsec.attacks.evasion import (
    Apgd,
    Ball,
    CosineToTarget,
    Fgsm,
    GradientAttack,
    MomentumPgd,
    Objective,
    Pgd,
    ascend,
    effective_eps,
    prepare,
)
from recsec.attacks.evasion.steps import checkpoints
from recsec.errors import ConfigError, TargetError
from recsec.rng import Streams

ATTACKS = [Fgsm, Pgd, MomentumPgd, Apgd]


def make(attack: type[GradientAttack], **settings: object) -> GradientAttack:
    return attack(attack.config_class(**{"precision": "float32", **settings}))


@dataclass(frozen=True)
class Along(Objective):
    """The inner product with a direction: an objective whose optimum in a box is known."""

    directions: Tensor

    def values(self, embeddings: Tensor) -> Tensor:
        return (embeddings * self.directions).sum(1)

    def solved(self, embeddings: Tensor) -> Tensor:
        return torch.zeros(len(embeddings), dtype=torch.bool)


def evaluate(toy: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return toy.eval()(images)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_optimum_of_a_linear_embedder_is_reached_exactly(
    attack: type[GradientAttack], photos: Tensor
) -> None:
    directions = torch.randn(photos[0].numel(), generator=torch.Generator().manual_seed(3))
    goal = Along(directions.expand(len(photos), -1))
    found = make(attack).perturb(
        lambda images: images.flatten(1), photos, goal, eps=0.05, rng=Streams(0)
    )
    step = effective_eps(0.05) * directions.sign().view(photos[0].shape)
    assert torch.allclose(found.images, (photos + step).clamp(0, 1), atol=1e-6)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_result_is_an_8_bit_image_of_the_ball(
    attack: type[GradientAttack], toy: nn.Module, photos: Tensor
) -> None:
    goal = CosineToTarget(evaluate(toy, photos.flip(0)))
    found = make(attack).perturb(toy, photos, goal, eps=0.05, rng=Streams(0))
    levels = found.images * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    assert (found.images.mul(255).round() - photos.mul(255).round()).abs().max() == 12
    assert found.images.min() >= 0
    assert found.images.max() <= 1
    reached = goal.values(evaluate(toy, found.images))
    assert torch.allclose(reached, found.best, atol=1e-4)
    assert (reached > goal.values(evaluate(toy, photos))).float().mean() > 0.6


def test_an_attack_leaves_the_model_as_it_was(toy: nn.Module, photos: Tensor) -> None:
    goal = CosineToTarget(evaluate(toy, photos.flip(0)))
    toy.train()
    before = {name: tensor.clone() for name, tensor in toy.state_dict().items()}
    make(MomentumPgd, steps=3).perturb(toy, photos, goal, eps=0.05, rng=Streams(0))
    assert toy.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in toy.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in toy.state_dict().items())


@pytest.mark.parametrize("settings", [{}, {"random_start": True, "restarts": 2}])
@pytest.mark.parametrize("attack", [MomentumPgd, Apgd])
def test_results_do_not_depend_on_the_batch(
    attack: type[GradientAttack], settings: dict[str, object], toy: nn.Module, photos: Tensor
) -> None:
    goal = CosineToTarget(evaluate(toy, photos.flip(0)))
    tool = make(attack, steps=8, **settings)
    whole = tool.perturb(toy, photos, goal, eps=0.05, rng=Streams(0))
    for rows in torch.arange(len(photos)).split(5):
        part = tool.perturb(
            toy, photos[rows], goal.select(rows), eps=0.05, rng=Streams(0), keys=rows.tolist()
        )
        same = (part.images == whole.images[rows]).flatten(1).float().mean(1)
        assert same.min() > 0.99  # rounding of sums may flip a sign here and there
        assert torch.allclose(part.best, whole.best[rows], atol=1e-4)


def test_no_budget_changes_nothing(toy: nn.Module, photos: Tensor) -> None:
    goal = CosineToTarget(evaluate(toy, photos.flip(0)))
    found = make(Apgd, steps=4).perturb(toy, photos, goal, eps=0.0, rng=Streams(0))
    assert torch.equal(found.images, photos)


@pytest.mark.parametrize("eps", [-0.01, 1.01, float("nan")])
def test_a_budget_outside_the_pixel_range_is_refused(
    eps: float, toy: nn.Module, photos: Tensor
) -> None:
    goal = CosineToTarget(evaluate(toy, photos.flip(0)))
    with pytest.raises(ConfigError, match="expected a number from 0 to 1"):
        make(Pgd).perturb(toy, photos, goal, eps=eps, rng=Streams(0))


def test_broken_weights_are_named(toy: nn.Module, photos: Tensor) -> None:
    goal = CosineToTarget(evaluate(toy, photos.flip(0)))
    toy.head.weight.data[0, 0] = float("nan")
    with pytest.raises(TargetError, match="not finite"):
        make(Pgd).perturb(toy, photos, goal, eps=0.03, rng=Streams(0))


def test_rows_stop_as_soon_as_they_succeed(toy: nn.Module, photos: Tensor) -> None:
    targets = evaluate(toy, photos.flip(0))
    clean = (evaluate(toy, photos) * targets).sum(1)
    easy = torch.arange(len(photos)) % 2 == 0
    goal = CosineToTarget(targets, torch.where(easy, clean - 0.1, torch.tensor(1.0)))
    found = make(MomentumPgd, steps=6).perturb(toy, photos, goal, eps=0.05, rng=Streams(0))
    assert found.backwards.tolist() == [1 if one else 6 for one in easy]
    assert found.forwards.tolist() == [1 if one else 7 for one in easy]
    assert torch.equal(found.images[easy], photos[easy])


def test_a_search_in_bfloat16_is_judged_in_float32(toy: nn.Module, photos: Tensor) -> None:
    targets = evaluate(toy, photos.flip(0))
    goal = CosineToTarget(targets, torch.full((len(photos),), 0.6))
    tool = Apgd(Apgd.config_class(precision="bfloat16", steps=20))
    found = tool.perturb(toy, photos, goal, eps=0.1, rng=Streams(0))
    stopped = found.backwards < 20
    assert stopped.any()
    assert goal.solved(evaluate(toy, found.images))[stopped].all()


def test_more_refined_attacks_reach_more(toy: nn.Module, photos: Tensor) -> None:
    goal = CosineToTarget(evaluate(toy, photos.flip(0)))

    def mean(tool: GradientAttack) -> float:
        return float(tool.perturb(toy, photos, goal, eps=0.03, rng=Streams(0)).best.mean())

    fgsm, apgd, mi = mean(make(Fgsm)), mean(make(Apgd, steps=30)), mean(make(MomentumPgd))
    pgd = mean(make(Pgd, step_size=1 / 30, keep="last"))
    assert apgd >= pgd - 1e-4
    assert mi >= pgd - 1e-4
    assert min(apgd, mi) > fgsm


def test_restarts_and_a_warm_start_never_lose(toy: nn.Module, photos: Tensor) -> None:
    goal = CosineToTarget(evaluate(toy, photos.flip(0)))
    once = make(Pgd, steps=4, step_size=0.7).perturb(toy, photos, goal, eps=0.03, rng=Streams(0))
    thrice = make(Pgd, steps=4, step_size=0.7, restarts=4).perturb(
        toy, photos, goal, eps=0.03, rng=Streams(0)
    )
    on = make(Pgd, steps=3).perturb(toy, photos, goal, eps=0.05, rng=Streams(0), start=once.images)
    assert (thrice.best >= once.best - 1e-5).all()
    assert (thrice.best > once.best).any()
    assert (on.best >= once.best - 1e-5).all()


def test_zero_gradients_are_counted(photos: Tensor) -> None:
    goal = Along(torch.ones(len(photos), 3))
    found = make(Pgd, steps=4).perturb(
        lambda images: (images.mean(dim=(2, 3)) * 4).round() + 0 * images.mean(dim=(2, 3)),
        photos, goal, eps=0.05, rng=Streams(0),
    )  # fmt: skip
    assert found.dead.tolist() == [4] * len(photos)


def test_folding_keeps_the_function(toy: nn.Module, photos: Tensor) -> None:
    ready = prepare(toy, photos, precision="float32")
    assert torch.allclose(ready(photos), evaluate(toy, photos), atol=1e-5)
    folded = [type(module).__name__ for module in ready.exact.modules()]
    assert "BatchNorm2d" not in folded


def test_a_search_in_float32_is_float32_where_the_scene_was_prepared_for_bfloat16(
    toy: nn.Module, photos: Tensor
) -> None:
    shared = prepare(toy, photos, precision="bfloat16")
    assert shared.approximate
    assert prepare(shared, photos) is shared
    exact = prepare(shared, photos, precision="float32")
    assert not exact.approximate
    assert exact.exact is shared.exact


@pytest.mark.parametrize(("count", "seen"), [(1, 1), (3, 4), (64, 64), (65, 128), (130, 192)])
def test_an_accelerator_sees_few_sizes_of_batch(count: int, seen: int) -> None:
    sizes = []

    def embedder(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return images.flatten(1)

    found = prepare(embedder, photos := torch.zeros(count, 3, 2, 2, device="meta"))(photos)
    assert sizes == [seen]
    assert found.shape == (count, 12)


def test_a_convolution_with_two_readers_is_not_folded(photos: Tensor) -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, images: Tensor) -> Tensor:
            x = self.conv(images)
            return (self.norm(x) + x).mean(dim=(2, 3))

    forked = Forked().eval()
    forked.norm.weight.data.fill_(2.0)
    ready = prepare(forked, photos, precision="float32")
    assert torch.allclose(ready(photos), forked(photos), atol=1e-6)


def test_apgd_looks_back_where_the_paper_says() -> None:
    assert checkpoints(100) == [0, 22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == [0, 1]


def test_ascend_raises_a_loss_inside_the_ball(toy: nn.Module, photos: Tensor) -> None:
    toy.eval().requires_grad_(False)
    clean = toy(photos)

    def loss(images: Tensor) -> Tensor:
        return 1 - (toy(images) * clean).sum(1)

    rng = torch.Generator().manual_seed(0)
    found = ascend(loss, photos, eps=0.03, steps=5, step_size=0.015, rng=rng)
    noise = Ball.around(photos, 0.03, grid=False)
    assert (found >= noise.low).all()
    assert (found <= noise.high).all()
    assert loss(found).mean() > 10 * loss(photos + 0.03 * (photos - 0.5).sign()).mean() / 4
    assert not found.requires_grad

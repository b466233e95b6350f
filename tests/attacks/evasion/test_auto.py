"""The ensemble: its members on what is left, and networks that hide their gradients."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from recsec.attacks.evasion import CosineToTarget, Scene, evade, open_attack
from recsec.rng import Streams

EPS = 0.1


class Masked(nn.Module):
    """A network that sees rounded pixels: no gradient passes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(0 * images + images.detach().mul(64).round() / 64)


def test_it_is_as_strong_as_its_strongest_member(scene: Scene) -> None:
    reached = {
        name: evade(open_attack(name), scene, eps=EPS, rng=Streams(0), stop_rank=3).reached(3)
        for name in ("auto", "mi-100", "apgd-100")
    }
    assert bool((reached["auto"] >= reached["mi-100"]).all())
    assert reached["auto"].sum() >= reached["apgd-100"].sum()


def test_effort_of_all_members_is_counted(scene: Scene) -> None:
    tool = open_attack("auto", {"steps": 4, "queries": 3})
    found = evade(tool, scene, eps=0.004, rng=Streams(0), stop_rank=1)
    failed = found.table.filter(found.table["rank_after"] > 1)
    assert failed["backwards"].to_list() == [8] * len(failed)
    assert failed["queries"].to_list() == [3] * len(failed)


def test_masked_gradients_are_counted_and_the_black_box_goes_on(scene: Scene) -> None:
    embedder = Masked(scene.embedder).eval()  # type: ignore[arg-type]
    masked = replace(scene, embedder=embedder, ready=None)
    found = {
        name: evade(open_attack(name), masked, eps=EPS, rng=Streams(0), stop_rank=1)
        for name in ("mi-10", "reference-10", "auto-10")
    }
    for name in ("mi-10", "reference-10"):
        table = found[name].table
        assert table["dead"].sum() == table["backwards"].sum() > 0
    gain = found["auto-10"].table["cosine_after"] - found["mi-10"].table["cosine_after"]
    assert gain.mean() > 0  # type: ignore[operator]


def test_rows_do_not_depend_on_the_batch(scene: Scene) -> None:
    tool = open_attack("auto", {"steps": 5, "queries": 5})
    images = scene.floats(torch.arange(len(scene)))
    goal = CosineToTarget(scene.index.vectors[scene.rows("targets", torch.arange(len(scene)))])
    whole = tool.perturb(scene.embedder, images, goal, eps=0.05, rng=Streams(0))
    rows = torch.arange(3, 7)
    part = tool.perturb(
        scene.embedder, images[rows], goal.select(rows),
        eps=0.05, rng=Streams(0), keys=rows.tolist(),
    )  # fmt: skip
    assert torch.allclose(part.best, whole.best[rows], atol=1e-3)


def test_a_linear_embedder_is_solved_by_the_reference_and_the_ensemble(scene: Scene) -> None:
    directions = torch.randn(432, generator=torch.Generator().manual_seed(3))
    photos = scene.floats(torch.arange(len(scene)))
    goal = CosineToTarget(directions.expand(len(photos), -1))
    best = (photos + 12 / 255 * directions.sign().view(photos[0].shape)).clamp(0, 1)
    for name in ("reference", "auto"):
        found = open_attack(name).perturb(
            lambda images: images.flatten(1), photos, goal, eps=0.05, rng=Streams(0)
        )
        assert torch.allclose(found.images, best, atol=1e-6)

"""The ball, and the judge who believes files only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsec.attacks.evasion import Ball, Scene, confirm, levels, through_png, to_bytes
from recsec.errors import ConfigError
from recsec.models import ExactIndex

BUDGETS = st.floats(0, 1)
SEEDS = st.integers(0, 1000)


def images(seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, 3, 4, 4), generator=rng).float() / 255


@given(BUDGETS, SEEDS)
def test_rounding_stays_in_the_ball_and_is_idempotent(eps: float, seed: int) -> None:
    centers = images(seed)
    far = torch.randn(centers.shape, generator=torch.Generator().manual_seed(seed + 1))
    ball = Ball.around(centers, eps)
    once = ball.round(far)
    stored, original = to_bytes(once).int(), to_bytes(centers).int()
    assert (stored - original).abs().max() <= levels(eps) <= 255 * eps + 1e-3
    assert torch.equal(ball.round(once), once)
    assert torch.equal(ball.project(far.clone()).clamp(0, 1), ball.project(far.clone()))


@given(st.integers(0, 255))
def test_a_budget_of_whole_gray_levels_is_used_whole(level: int) -> None:
    assert levels(level / 255) == level


def test_the_file_holds_what_was_written() -> None:
    pixels = to_bytes(images(0))
    assert torch.equal(through_png(pixels), pixels)


def judge(scene: Scene, images: torch.Tensor, eps: float, **options: object):
    return confirm(
        scene.embedder, scene.index, images, scene.attackers,
        attackers=scene.rows("attackers", torch.arange(len(scene))),
        targets=scene.rows("targets", torch.arange(len(scene))),
        eps=eps, **options,
    )  # fmt: skip


def test_a_claim_outside_the_budget_is_put_back(scene: Scene) -> None:
    loud = 1 - scene.floats(torch.arange(len(scene)))
    found = judge(scene, loud, 0.05)
    assert (found.linf <= 12 / 255 + 1e-12).all()
    assert (found.linf == 12 / 255).any()
    honest = judge(scene, loud, 0.05, project=False)
    assert (honest.linf > 0.05).any()


def test_ranks_are_those_of_a_plain_count(scene: Scene) -> None:
    noisy = scene.floats(torch.arange(len(scene))) + 0.03
    found = judge(scene, noisy, 0.03)
    with torch.no_grad():
        vectors = scene.embedder(torch.from_numpy(found.images).float() / 255)
    catalog = scene.index.vectors.double().numpy()
    for row in range(len(scene)):
        attacker, target = scene.pairs.attackers[row], scene.pairs.targets[row]
        others = np.setdiff1d(np.arange(len(catalog)), [attacker, target])
        mine = vectors[row].double().numpy() @ catalog[target]
        assert found.ranks[row] == 1 + (catalog[others] @ catalog[target] >= mine).sum()
        assert found.cosines[row] == pytest.approx(mine, abs=1e-6)


def test_the_photo_of_the_target_wins_its_list(scene: Scene) -> None:
    assert scene.targets is not None
    found = judge(scene, scene.targets.float() / 255, 1.0)
    assert found.ranks.tolist() == [1] * len(scene)
    assert found.cosines.min() > 1 - 1e-6


def test_a_catalog_of_two_is_refused(scene: Scene) -> None:
    from dataclasses import replace

    with pytest.raises(Exception, match="without a third item"):
        replace(scene, index=ExactIndex(scene.index.vectors[:2]))


def test_a_budget_outside_the_pixel_range_is_refused(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        judge(scene, scene.floats(torch.arange(len(scene))), 1.5)

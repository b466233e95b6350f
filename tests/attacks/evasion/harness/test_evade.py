"""From pairs to judged results, alone and over budgets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsec.attacks.evasion import (
    GradientAttack,
    MomentumPgd,
    Noise,
    Pgd,
    Scene,
    evade,
    min_levels,
    sweep,
)
from recsec.rng import Streams


def make(attack: type[GradientAttack] = MomentumPgd, **settings: object) -> GradientAttack:
    return attack(attack.config_class(**{"precision": "float32", "steps": 12, **settings}))


def test_an_attack_raises_ranks_inside_the_budget(scene: Scene) -> None:
    found = evade(make(), scene, eps=0.1, rng=Streams(0)).table
    assert found["in_budget"].all()
    assert found["linf"].max() == pytest.approx(25 / 255)
    assert (found["rank_after"] < found["rank_before"]).mean() > 0.8
    assert (found["cosine_after"] >= found["cosine_before"] - 1e-6).all()


def test_no_budget_gives_the_clean_rank(scene: Scene) -> None:
    found = evade(make(), scene, eps=0.0, rng=Streams(0))
    assert found.table["rank_after"].to_list() == found.table["rank_before"].to_list()
    assert np.array_equal(found.images, scene.attackers.numpy())
    plain = scene.index.rank(
        scene.index.vectors[:16], torch.from_numpy(scene.pairs.targets), torch.arange(16)
    )
    assert found.table["rank_before"].to_list() == plain.tolist()


def test_noise_leaves_ranks_near_clean(scene: Scene) -> None:
    noise = evade(Noise(Noise.config_class()), scene, eps=0.03, rng=Streams(0)).table
    attack = evade(make(), scene, eps=0.03, rng=Streams(0)).table
    assert noise["linf"].to_list() == pytest.approx([7 / 255] * 16)

    def moved(table: object) -> float:
        return float((table["cosine_after"] - table["cosine_before"]).abs().mean())  # type: ignore[index]

    assert moved(noise) < moved(attack) / 5


def test_the_batch_size_changes_nothing(scene: Scene) -> None:
    tool = make(random_start=True, restarts=2)
    whole = evade(tool, scene, eps=0.05, rng=Streams(0))
    parts = evade(tool, scene, eps=0.05, rng=Streams(0), batch=3)
    assert (whole.images == parts.images).mean() > 0.99
    assert np.allclose(whole.table["cosine_after"], parts.table["cosine_after"], atol=1e-4)
    assert whole.table["rank_after"].to_list() == parts.table["rank_after"].to_list()


def test_success_is_monotone_in_eps(scene: Scene) -> None:
    # large constant steps without memory: alone, more budget does worse here and there
    tool = make(Pgd, steps=4, step_size=1.0)
    budgets = [0.1, 0.01, 0.02, 0.05, 0.03]
    found = sweep(tool, scene, eps=budgets, rng=Streams(0))
    assert [one.eps for one in found] == sorted(budgets)
    ranks = np.array([one.table["rank_after"] for one in found])
    assert (np.diff(ranks, axis=0) <= 0).all()
    assert ranks[-1].mean() < ranks[0].mean()
    for one in found:
        assert one.table["linf"].max() <= one.eps


def test_the_smallest_budget_is_found_by_bisection(scene: Scene) -> None:
    tool = make(steps=4)
    swept = sweep(tool, scene, eps=[0.1], rng=Streams(0), stop_rank=20)
    found = min_levels(tool, scene, swept, rng=Streams(0), rank=20)
    won = found > 0
    assert won.any()
    for row in np.flatnonzero(won):
        ranks = {}
        for level in (found[row] - 1, found[row]):
            table = evade(tool, scene, eps=level / 255, rng=Streams(0), stop_rank=20).table
            ranks[level] = table["rank_after"][int(row)]
        assert ranks[found[row]] <= 20 < ranks[found[row] - 1]


def test_features_and_demotion(scene: Scene) -> None:
    nearer = evade(make(), scene, eps=0.1, rng=Streams(0), goal="features").table
    assert (nearer["cosine_after"] > nearer["cosine_before"]).mean() > 0.8
    away = evade(make(), scene, eps=0.1, rng=Streams(0), goal="demotion", stop_rank=50).table
    assert (away["rank_after"] >= away["rank_before"]).all()
    assert (away["rank_after"] > 50).any()

"""Places in lists: against a plain count, and in a world that is solved on paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.evasion import (
    Goal,
    Pairs,
    Ranking,
    Scene,
    evade,
    min_levels,
    open_attack,
    query_ranks,
    ranking_of,
    sweep,
)
from recsec.errors import ConfigError
from recsec.models import ExactIndex
from recsec.rng import Streams

ATTACKER, TARGET = 100, 140
LARGEST = 45


def on_the_circle(grays: Tensor) -> Tensor:
    """A gray of 0 is (1, 0), one of 255 is (0, 1)."""
    angles = grays * (math.pi / 510)
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def brightness(images: Tensor) -> Tensor:
    """An encoder that sees the mean gray of a photo only."""
    return on_the_circle(images.mean(dim=(1, 2, 3)) * 255)


@pytest.fixture
def street() -> Scene:
    """Gray photos in a row; others than attacker and target sit between gray levels: no ties."""
    grays = torch.tensor([ATTACKER, TARGET, 131.5, 90.5, 200.5])
    photo = torch.full((1, 3, 8, 8), ATTACKER, dtype=torch.uint8)
    pairs = Pairs(np.array([0]), np.array([1]), "planted")
    return Scene(brightness, ExactIndex(on_the_circle(grays)), pairs, photo)


# with L levels the photo moves from gray 100 to 100 + L, or away to 100 - L
ON_PAPER = [
    # in the target's list it has to be nearer to 140 than 131.5 is: 40 - L < 8.5
    ("cosine", 1, 32),
    # 90.5 is further from 140 than 100 is
    ("cosine", 2, 0),
    # in the photo's list 140 has to be nearer than 131.5: 100 + L > 135.75
    ("query", 1, 36),
    # of 131.5 and 90.5 only one may be nearer than 140: 100 + L > 115.25
    ("query", 2, 16),
    # away from the target it falls behind 90.5: 40 + L > 49.5, and then behind 200.5
    ("demotion", 2, 10),
    ("demotion", 3, 21),
    # there is no fifth place
    ("demotion", 4, -1),
]


@pytest.mark.parametrize(("goal", "rank", "expected"), ON_PAPER)
@pytest.mark.parametrize("budgets", [[LARGEST], [10, 34, LARGEST]])
def test_bisection_finds_what_trying_every_level_finds(
    street: Scene, goal: Goal, rank: int, expected: int, budgets: list[int]
) -> None:
    fgsm = open_attack("fgsm", {"precision": "float32"})
    options: dict[str, Any] = {"rng": Streams(0), "goal": goal}
    swept = sweep(fgsm, street, eps=[one / 255 for one in budgets], stop_rank=rank, **options)
    found = min_levels(fgsm, street, swept, rank=rank, **options)
    tried = [
        evade(fgsm, street, eps=level / 255, stop_rank=rank, **options).reached(rank)[0]
        for level in range(LARGEST + 1)
    ]
    assert tried == sorted(tried), "the case is monotone"
    assert found.tolist() == [tried.index(True) if True in tried else -1] == [expected]


def test_the_place_in_the_answer_is_that_of_a_plain_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsec.attacks.evasion.harness.ranking.BLOCK", 7)
    rng = torch.Generator().manual_seed(0)
    catalog = F.normalize(torch.randn(50, 6, generator=rng), dim=1)
    catalog[30:35] = catalog[20]  # the target of query 4, five times over
    photos = F.normalize(torch.randn(20, 6, generator=rng), dim=1)
    targets, attackers = torch.arange(16, 36), torch.arange(20)
    found = query_ranks(ExactIndex(catalog), photos, targets, attackers)
    for row in range(20):
        cosines = catalog.double().numpy() @ photos[row].double().numpy()
        others = np.setdiff1d(np.arange(50), [row, row + 16])
        assert found[row] == 1 + (cosines[others] >= cosines[row + 16] - 1e-12).sum()
    alone = [one for one in range(50) if one not in range(30, 35)]
    unique = query_ranks(ExactIndex(catalog[alone]), photos[4:5], targets[4:5], attackers[4:5])
    assert found[4] - unique[0] == 5, "ties count against the attacker"


def test_queries_are_judged_from_the_file_by_the_right_list(scene: Scene) -> None:
    tool = open_attack("mi-20", {"precision": "float32"})
    found = evade(tool, scene, eps=0.2, rng=Streams(0), goal="query", stop_rank=3)
    with torch.no_grad():
        vectors = scene.embedder(torch.from_numpy(found.images).float() / 255).double().numpy()
    catalog = scene.index.vectors.double().numpy()
    for name, queries in (("rank_before", catalog), ("rank_after", vectors)):
        for row, (attacker, target) in enumerate(
            zip(scene.pairs.attackers, scene.pairs.targets, strict=True)
        ):
            cosines = catalog @ queries[row]
            others = np.setdiff1d(np.arange(len(catalog)), [attacker, target])
            assert found.table[name][row] == 1 + (cosines[others] >= cosines[target]).sum()
    assert found.reached(3).sum() > (found.table["rank_before"] <= 3).sum()
    assert found.reached(3).tolist() == (found.table["rank_after"] <= 3).to_list()


def test_a_sweep_away_from_the_list_keeps_what_is_farther(scene: Scene) -> None:
    tool = open_attack("pgd-4", {"precision": "float32", "step_size": 1.0})
    found = sweep(tool, scene, eps=[0.01, 0.05, 0.1], rng=Streams(0), goal="demotion", stop_rank=55)
    ranks = np.array([one.table["rank_after"] for one in found])
    assert (np.diff(ranks, axis=0) >= 0).all()
    assert ranks[-1].mean() > ranks[0].mean()
    assert found[-1].reached(55).tolist() == (ranks[-1] > 55).tolist()


def test_better_is_by_place_then_cosine() -> None:
    ranks, cosines = np.array([1, 2, 3, 3]), np.array([0.5, 0.9, 0.4, 0.6])
    others = np.array([2, 1, 3, 3]), np.array([0.9, 0.1, 0.5, 0.5])
    assert Ranking().better(ranks, cosines, others).tolist() == [True, False, False, True]
    away = ranking_of("demotion").better(ranks, cosines, others)
    assert away.tolist() == [False, True, True, False]


def test_lists_of_ids_tell_no_margin(scene: Scene) -> None:
    tool = open_attack("square-5", {"oracle": "ids"})
    with pytest.raises(ConfigError, match="nothing but their overlap"):
        evade(tool, scene, eps=0.1, rng=Streams(0), goal="query")


def test_surrogates_follow_no_goal_that_they_cannot(scene: Scene) -> None:
    tool = open_attack("transfer-2", {"precision": "float32"})
    with pytest.raises(ConfigError, match="cannot follow the goal 'lists'"):
        evade(tool, scene, eps=0.1, rng=Streams(0), goal="lists", surrogate=scene.embedder)
    away = evade(tool, scene, eps=0.1, rng=Streams(0), goal="demotion", surrogate=scene.embedder)
    assert (away.table["cosine_after"] < away.table["cosine_before"]).mean() > 0.8

"""Habits of people and of thieves whom the owner plays."""

from __future__ import annotations

import numpy as np
import pytest
from detection_world import World
from scipy import stats

from recsec.detection.habits import Habits, HabitsJudge
from recsec.targets.guards.typical import RankLaw, own_ranks


def drawn(rng: np.random.Generator, rows: int, shift: float, axis: int) -> np.ndarray:
    found = rng.normal(size=(rows, 4))
    found[:, axis] += shift
    return found


@pytest.fixture(scope="module")
def judge() -> HabitsJudge:
    """Machines lie to one side of people, imitators to the other, in two habits."""
    rng = np.random.default_rng(0)
    return HabitsJudge.fit(
        (10, 20),
        honest=[drawn(rng, 3000, 0, 0)] * 2,
        thieves=[[drawn(rng, 500, 5, 0)] * 2, [drawn(rng, 500, -5, 1)] * 2],
        calibrate=[drawn(rng, 3000, 0, 0)] * 2,
    )


def test_p_values_of_people_are_uniform(judge: HabitsJudge) -> None:
    scores = judge.scores(drawn(np.random.default_rng(1), 3000, 0, 0), 20)
    p = judge.p_values(scores, 20)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert 0.005 < (p <= 0.01).mean() < 0.016


@pytest.mark.parametrize(("shift", "axis"), [(5, 0), (-5, 1)])
def test_each_kind_of_thief_is_seen(judge: HabitsJudge, shift: int, axis: int) -> None:
    thieves = drawn(np.random.default_rng(2), 200, shift, axis)
    assert (judge.p_values(judge.scores(thieves, 10), 10) <= 0.01).mean() > 0.9
    harmless = drawn(np.random.default_rng(3), 200, -shift, axis)
    assert (judge.p_values(judge.scores(harmless, 10), 10) <= 0.01).mean() < 0.05


def test_habits_by_hand(world: World) -> None:
    """Items 1 and 2 are opposite, 3 is like 1."""
    vectors = np.array([[0.0, 0], [1, 0], [-1, 0], [1, 0]], dtype=np.float32)
    counts = np.array([0, 1, 1, 0])
    model = world.model
    law = RankLaw(np.array([1, 2]), np.ones(2), np.ones((1, 2)))
    habits = Habits.of(model, law, vectors, counts)
    measured = habits.measure(np.array([[1, 2, 3], [1, 3, 1]]))
    ranks = own_ranks(model, np.array([[1, 2, 3]]))
    assert measured[0, 0] == pytest.approx(np.sqrt((ranks == 1).sum() / 2))
    assert measured[:, 2].tolist() == pytest.approx([-1 / 3, 1])  # all pairs
    assert measured[:, 3].tolist() == pytest.approx([-1, 1])  # neighbors
    assert measured[0, 4] == pytest.approx(2 * np.log(2) / 3)
    assert measured[:, 6].tolist() == [0, 0]

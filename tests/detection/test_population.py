"""Young accounts together: a population that is none of people."""

from __future__ import annotations

import numpy as np
import pytest
from detection_world import World
from scipy import stats

from recsec.detection.population import Population, energy_test
from recsec.types import FloatArray


def test_p_values_of_people_are_uniform() -> None:
    rng = np.random.default_rng(0)
    p = [
        energy_test(rng.normal(size=(20, 3)), rng.normal(size=(40, 3)), rng=rng, draws=99)[1]
        for _ in range(200)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_a_pool_of_thieves_stands_out_though_none_of_them_does() -> None:
    rng = np.random.default_rng(1)
    people, thieves = rng.normal(size=(200, 3)), rng.normal(0.6, 0.7, size=(80, 3))
    distance, p = energy_test(thieves, people, rng=rng)
    assert p == 1 / 200
    assert distance > energy_test(rng.normal(size=(80, 3)), people, rng=rng)[0]


def test_the_distance_of_two_points_by_hand() -> None:
    """2 E|X-Y| - E|X-X'| - E|Y-Y'| with X always 0 and Y 1 or 3, whose spread is 1."""
    pool, people = np.zeros((2, 1)), np.array([[1.0], [3.0]])
    distance, _ = energy_test(pool, people, rng=np.random.default_rng(0), draws=9)
    assert distance == 2 * 2 - 0 - 1


def crowd(rng: np.random.Generator, habit: int, n: int) -> FloatArray:
    """Honest accounts of one of three habits, far apart from each other."""
    return np.eye(3)[habit] * 3.0 + rng.normal(size=(n, 3))


def test_a_mixture_of_habits_is_people_and_a_thief_among_them_is_none() -> None:
    """At a nominal 10 %, of 60 pools with shares that nobody knows, at most as many by chance."""
    rng = np.random.default_rng(2)
    habits = np.repeat([0, 1, 2], 150)
    rows = np.concatenate([crowd(rng, habit, 150) for habit in range(3)])
    people = Population(rows, habits, ("c=0.4", "a", "b"), ("x", "y", "z"), 10)
    found = []
    for _ in range(60):
        shares = rng.multinomial(60, rng.dirichlet([0.5, 0.5, 0.5]))
        pool = np.concatenate([crowd(rng, one, n) for one, n in enumerate(shares.tolist())])
        found.append(people.test(pool, rng=rng, draws=99))
    alarms = sum(one.p_value <= 0.1 for one in found)
    assert stats.binom.sf(alarms - 1, 60, 0.1) > 0.01
    between = people.test(rng.normal(size=(60, 3)) + 1.0, rng=rng)
    assert between.p_value < 1e-3, "the middle of all habits is none of them"
    assert sum(between.mixture.values()) == pytest.approx(1)


def test_a_population_is_bounded_and_comes_back_as_it_was(world: World) -> None:
    kept = world.fitted.population
    assert kept is not None
    assert kept.enough
    assert len(kept.rows) <= 2000
    again = Population.unpacked(*kept.packed())
    assert [(again.rows == kept.rows).all(), again.names, again.labels, again.queries] == [
        True, kept.names, kept.labels, kept.queries,
    ]  # fmt: skip

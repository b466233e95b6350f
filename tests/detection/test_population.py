"""Young accounts together: a population that is none of people."""

from __future__ import annotations

import numpy as np
from scipy import stats

from recsec.detection.population import energy_test


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

"""Statistics against what can be counted by hand, and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recsec.ownership import (
    Questions,
    combined_p_values,
    green_statistics,
    p_values,
    pair_contrasts,
    reply_statistics,
)
from recsec.targets.guards import first_is_green, replies

rng = np.random.default_rng(5)
KEYS = [rng.bytes(32) for _ in range(1200)]


def test_contrast_of_a_pair_counts_mentions():
    counts = np.array([0, 9, 8, 7, 6])  # pairs (1, 2) and (3, 4)
    lists = np.array([[1, 3], [1, 2], [1, 0]])
    expected = [(3 - 1) / np.sqrt(3 + 1), (1 - 0) / np.sqrt(1)]
    assert pair_contrasts(lists, counts).tolist() == expected
    np.testing.assert_array_equal(pair_contrasts(lists[:, ::-1], counts), expected)
    assert not pair_contrasts(np.zeros((3, 2), dtype=np.int64), counts).any()


def test_green_statistics_equal_the_plain_loop():
    contrasts = np.random.default_rng(0).normal(size=(31, 2))
    coins = first_is_green(KEYS, 31)
    plain = [
        [
            sum(c if coin else -c for c, coin in zip(column, row, strict=True))
            for column in contrasts.T
        ]
        for row in coins
    ]
    np.testing.assert_allclose(green_statistics(contrasts, KEYS), plain, atol=1e-12)


def test_reply_statistics_equal_the_plain_loop():
    counts = np.arange(121)[::-1].copy()
    draw = np.random.default_rng(1)
    number, plain = 5, 7
    questions = Questions(np.ones((plain + 3 * number, 2), dtype=np.int64), plain, np.arange(1, 6))
    lists = np.stack([draw.permutation(120)[:40] + 1 for _ in range(plain + 3 * number)])
    lists[9, 30:] = 0
    wanted = replies(KEYS[:50], counts, count=number)
    found = reply_statistics(lists, questions, counts, KEYS[:50], rounds=[0, 2, 3])
    for row, mine in enumerate(wanted):
        for column, rounds in enumerate([0, 2, 3]):
            probes = lists[plain : plain + rounds * number]
            hits = sum(mine[at % number] in probe for at, probe in enumerate(probes))
            assert found[row, column] == hits


def test_p_values_count_the_keys_that_do_as_well():
    found = p_values(np.array([3.0, 1.0, 3.0, 7.0, 0.0]))
    assert found.tolist() == [0.6, 0.8, 0.6, 0.2, 1.0]
    table = np.stack([np.arange(4.0), -np.arange(4.0)], axis=1)
    assert p_values(table).tolist() == [[1.0, 0.25], [0.75, 0.5], [0.5, 0.75], [0.25, 1.0]]


@pytest.mark.parametrize("dependence", [0.0, 0.9, -0.9])
def test_the_combination_is_exact_however_the_parts_depend(dependence):
    """Any of the exchangeable keys could be the owner's: its p-value is uniform."""
    draw = np.random.default_rng(2).multivariate_normal(
        [0, 0], [[1, dependence], [dependence, 1]], size=2000
    )
    joint = combined_p_values([p_values(draw[:, 0]), p_values(draw[:, 1])])
    assert joint.min() == 1 / 2000
    assert stats.kstest(joint, "uniform").statistic < 0.002
    both = combined_p_values([p_values(draw[:, 0]), p_values(draw[:, 0])])
    np.testing.assert_array_equal(both, p_values(draw[:, 0]))

"""One p-value per cluster: right under the null, sharp for many accounts that say little."""

from __future__ import annotations

import numpy as np
from scipy import stats

from recsec.detection.clusters import ClusterTest


def people(rng: np.random.Generator, clusters: int, between: float) -> tuple:
    """Honest accounts whose clusters have a mean of their own; a third stands alone."""
    sizes = rng.integers(2, 12, clusters)
    labels = np.repeat(np.arange(clusters), sizes)
    scores = rng.normal(3.0, 1.0, len(labels)) + rng.normal(0, between, clusters)[labels]
    alone = rng.normal(3.0, 1.0, len(labels) // 2)
    return np.append(scores, alone), np.append(labels, np.full(len(alone), -1))


def test_p_values_of_honest_clusters_are_uniform() -> None:
    rng = np.random.default_rng(0)
    test = ClusterTest.fit(*people(rng, 2000, 0.7), rng=rng)
    scores, labels = people(rng, 1000, 0.7)
    p = test.p_values(scores, labels)
    each = p[np.unique(labels, return_index=True)[1][1:]]
    assert stats.kstest(each, "uniform").pvalue > 0.01
    assert 0.002 < (each <= 0.01).mean() < 0.02
    assert (p[labels < 0] == 1).all()


def test_many_accounts_that_say_little_say_much_together() -> None:
    """Each of 30 accounts lies one standard deviation up: alone nobody would stand out."""
    rng = np.random.default_rng(1)
    test = ClusterTest.fit(*people(rng, 2000, 0.1), rng=rng)
    scores, labels = people(rng, 50, 0.1)
    planted = rng.normal(4.0, 1.0, 30)
    p = test.p_values(np.append(scores, planted), np.append(labels, np.full(30, 50)))
    assert p[-1] < 1e-3
    assert np.median(p[: len(labels)][labels >= 0]) > 0.1


def test_no_cluster_and_no_null() -> None:
    test = ClusterTest(0.0, 1.0, 0.0, np.zeros(0))
    assert test.p_values(np.array([9.0, 9.0]), np.array([0, 0])).tolist() == [1, 1]
    known = ClusterTest(0.0, 1.0, 0.0, np.array([0.0, 1.0]))
    assert known.p_values(np.array([9.0]), np.array([-1])).tolist() == [1]

"""PRADA: Shapiro-Wilk on distances, growing sets as in algorithm 1."""

from __future__ import annotations

import numpy as np
from scipy import stats

from recsec.detection import normality
from recsec.detection.detectors.prada import _Sets


def test_normality_of_known_samples() -> None:
    rng = np.random.default_rng(0)
    normal, two = (
        rng.normal(5, 1, 200),
        np.concatenate([rng.normal(1, 0.1, 100), rng.normal(9, 0.1, 100)]),
    )
    assert normality(normal) > 0.98
    assert normality(two) < 0.75
    assert normality(np.full(50, 3.0)) == 0.0
    # a far outlier is trimmed at three standard deviations
    kept = normality(np.append(normal, 1000.0))
    assert kept == stats.shapiro(normal).statistic


def vector(x: float) -> np.ndarray:
    return np.array([x, 0.0], dtype=np.float32)


def test_growing_sets_by_hand() -> None:
    sets = _Sets()
    for group, x in ((0, 0.0), (0, 1.0), (1, 50.0), (0, 1.5), (0, 4.0)):
        sets.add(group, 0, vector(x), apart=False, room=100)
    # 1 -> 0: 1; the other class has nobody yet; 1.5 -> 1: 0.5, below the limit 1 - 0, so it does
    # not join; 4 -> 1: 3
    assert sets.distances == [1.0, 0.5, 3.0]
    assert [float(one[2][0]) for one in sets.members] == [0.0, 1.0, 50.0, 4.0]
    assert sets.limits[0] == 1.0
    assert sets.grown[0] == [1.0, 3.0]


def test_other_histories_only_where_sessions_are_apart() -> None:
    sets = _Sets()
    for chain, x in ((0, 0.0), (0, 1.0), (1, 3.0)):
        sets.add(0, chain, vector(x), apart=True, room=100)
    assert sets.distances == [2.0]


def test_room_is_kept() -> None:
    sets = _Sets()
    for x in range(40):
        sets.add(0, 0, vector(float(x**2)), apart=False, room=7)
    assert max(len(sets.members), len(sets.distances), len(sets.grown[0])) == 7

"""SEAT's memory: the nearest earlier query, bounded; growing histories collapsed or not."""

from __future__ import annotations

import numpy as np
import pytest
from detection_world import World, followed

from recsec.detection.detectors.seat import Remembered
from recsec.traffic import ClickLaw


def test_nearest_equals_the_plain_loop() -> None:
    rng = np.random.default_rng(0)
    memory, earlier = Remembered.empty(40, 6), []
    for number in range(100):
        vector, chain = rng.normal(size=6).astype(np.float32), int(rng.integers(3))
        kept = earlier[-40:]
        for other in (None, chain):
            plain = min(
                (float(np.linalg.norm(one - vector)) for one, of in kept if of != other),
                default=np.inf,
            )
            assert memory.nearest(vector, other) == pytest.approx(plain, rel=1e-4), number
        memory.add(vector, chain, collapse=False)
        earlier.append((vector, chain))
    assert (memory.used, len(memory.vectors)) == (40, 40)


def test_a_collapsed_chain_is_remembered_once() -> None:
    memory = Remembered.empty(10, 2)
    for step in range(5):
        memory.add(np.full(2, step, np.float32), 7, collapse=True)
    memory.add(np.zeros(2, np.float32), 8, collapse=True)
    assert memory.used == 2
    assert memory.vectors[:2].tolist() == [[4.0, 4.0], [0.0, 0.0]]


def test_an_equal_query_has_distance_zero() -> None:
    memory = Remembered.empty(4, 3)
    vector = np.array([1e3, 1.0, 1e-3], dtype=np.float32)
    assert memory.nearest(vector, None) == np.inf
    memory.add(vector, 0, collapse=False)
    assert memory.nearest(vector, None) == 0.0
    assert memory.nearest(vector, 0) == np.inf


def test_near_is_rare_among_honest_queries(world: World) -> None:
    detector = world.fitted.detectors["seat-raw"].fresh()
    assert detector.fitted["near"][0] > 0
    detector.observe(followed(world.honest(world.groups.fit, ClickLaw(acceptance=0.5))))
    names, arrays = detector.state()
    counts = arrays["counts"]
    assert len(names) == len(counts)
    assert counts[:, 1].sum() / counts[:, 0].sum() < 0.01


def test_repeats_are_similar_on_raw_queries_only(world: World) -> None:
    """A thief who asks everything ten times: raw queries see it, collapsed histories do not."""
    log = world.thieves("random", 1, queries=10)
    again = log.select(np.repeat(np.arange(10), 10))
    scores = {
        label: world.fitted.detectors[label].fresh().observe(followed(again))[-1]
        for label in ("seat", "seat-raw")
    }
    assert scores == {"seat": 0.0, "seat-raw": 0.9}

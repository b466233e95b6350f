"""The reference attack beside others: what it beats is weak."""

from __future__ import annotations

import numpy as np
import pytest

from recsec.attacks.evasion import Control, Scene, control, evade, open_attack
from recsec.rng import Streams

EPS = 0.1


def looked_at(scene: Scene, name: str, **settings: object) -> Control:
    found = evade(open_attack(name, settings), scene, eps=EPS, rng=Streams(0), stop_rank=3)
    return control(scene, found.reached(3), eps=EPS, rng=Streams(0), rank=3)


def test_a_bad_schedule_is_caught_and_a_good_one_is_not(scene: Scene) -> None:
    bad = looked_at(scene, "mi", steps=2, step_size=0.02)
    assert bad.weak
    assert bad.tried <= 20
    assert bad.least > bad.found.high
    assert "not" in str(bad)
    good = looked_at(scene, "mi")
    assert not good.weak
    assert good.reached > bad.reached


def test_nothing_is_tried_where_nothing_failed(scene: Scene) -> None:
    seen = control(scene, np.ones(len(scene), dtype=bool), eps=EPS, rng=Streams(0), rank=3)
    assert (seen.tried, seen.won, seen.weak, seen.least) == (0, 0, False, 1.0)


@pytest.mark.parametrize(
    ("pairs", "reached", "tried", "won", "weak"),
    [
        (50, 25, 20, 19, True),  # 50 % where a plain attack has 98 %
        (200, 176, 20, 14, True),  # 88 % for 96 %
        (200, 0, 20, 1, False),  # one of twenty may be chance
        (200, 0, 20, 3, True),
        (200, 150, 20, 2, False),
    ],
)
def test_the_verdict_compares_intervals(
    pairs: int, reached: int, tried: int, won: int, weak: bool
) -> None:
    assert Control(pairs, reached, tried, won).weak is weak


def test_the_reference_is_plain_and_in_the_ball(scene: Scene) -> None:
    found = evade(open_attack("reference-30"), scene, eps=EPS, rng=Streams(0), stop_rank=1)
    assert bool(found.table["in_budget"].all())
    assert bool((found.table["cosine_after"] >= found.table["cosine_before"]).all())
    assert found.table["backwards"].max() <= 30

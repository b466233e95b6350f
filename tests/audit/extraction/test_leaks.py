"""Whose histories leak, and on whom the thief is measured then."""

import numpy as np
import pytest

from recsec.audit.extraction.cells import expand
from recsec.audit.extraction.evidence.audience import audience, leak_of
from recsec.audit.plan import parse_plan
from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out
from recsec.errors import ConfigError


@pytest.fixture
def split():
    rows = [[1, 2, 3, 4]] * 100
    return leave_one_out(Sequences.from_lists(Catalog.from_ids([1, 2, 3, 4]), rows))


def test_nobody_is_both_leaked_and_measured(split):
    leak = leak_of(split, 0.1, seed=3)
    measured = audience(split, users=None, seed=3, leak=0.1)
    assert len(leak) == 10
    assert sorted([*leak, *measured]) == list(range(100))
    drawn = audience(split, users=20, seed=3, leak=0.1)
    assert len(set(drawn.tolist())) == 20
    assert not np.isin(drawn, leak).any()
    assert audience(split, users=None, seed=3, leak=0.0).tolist() == list(range(100))


def test_a_smaller_leak_is_part_of_a_larger_one(split):
    assert np.isin(leak_of(split, 0.05, seed=3), leak_of(split, 0.2, seed=3)).all()


def plan_of(*grids):
    base = {"calls": 1000, "seeds": 0}
    values = {"target": {"model": "runs/x", "data": "synthetic"}}
    return parse_plan({**values, "extraction": [{**base, **grid} for grid in grids]})


def test_cells_name_the_leak_and_the_switches_and_ask_apart():
    plan = plan_of(
        {"policies": "mixed"},
        {"policies": "mixed", "adaptive": ["set-only", "accounts=4"]},
        {"policies": "mixed", "leak": 0.1},
        {"policies": "few-shot", "leak": 0.1},
    )
    grid = expand(plan)
    assert [cell.policy for cell in grid.cells] == [
        "mixed",
        "mixed +set-only +accounts=4",
        "mixed leak=0.1",
        "few-shot leak=0.1",
    ]
    assert len({cell.collection for cell in grid.cells}) == 4
    assert [cell.floor == "floor" for cell in grid.cells] == [True, True, False, False]
    assert len(grid.floors) == 1, "one model of the same leak serves both"
    assert grid.leak == 0.1


def test_switches_of_learning_ask_nothing_of_their_own():
    plain, order = {"policies": "mixed"}, {"policies": "mixed", "adaptive": ["set-only"]}
    flip = {"policies": "mixed", "adaptive": ["list-flip", "set-only"]}
    grid = expand(plan_of(plain, order, flip))
    assert len(grid.cells) == 3
    assert len(grid.collections) == 1
    assert grid.collections[0].id == expand(plan_of(plain)).collections[0].id


def test_shorter_sessions_are_named():
    grid = expand(plan_of({"policies": "mixed"}, {"policies": "mixed", "length": 4}))
    assert [cell.policy for cell in grid.cells] == ["mixed", "mixed length=4"]
    assert len(grid.collections) == 2
    alone = expand(plan_of({"policies": "mixed", "length": 4}))
    assert [cell.policy for cell in alone.cells] == ["mixed"]


def test_attacks_in_rounds_ask_apart_where_their_surrogates_differ():
    """A round is chosen by the surrogate; a session is not."""
    one, other = {"loss": "hinge"}, {"loss": "cross-entropy"}
    for policy, collections in (("mixed", 1), ("active-entropy", 2)):
        grid = expand(plan_of({"policies": policy, **one}, {"policies": policy, **other}))
        assert len(grid.collections) == collections


def test_switches_that_mean_nothing_are_refused_with_the_plan():
    with pytest.raises(ConfigError, match="adaptive"):
        plan_of({"policies": "mixed", "adaptive": ["clever"]})

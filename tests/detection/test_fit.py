"""Fitting: disjoint groups, equal terms, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from detection_world import World

from recsec.data import load
from recsec.detection import FitConfig, fit_detectors, split_users
from recsec.errors import ConfigError, DataError
from recsec.rng import Streams


def test_groups_are_disjoint_and_users_long_enough(world: World) -> None:
    groups = split_users(world.people, Streams(3), least=50)
    parts = list(vars(groups).values())
    every = np.concatenate(parts)
    assert len(set(every.tolist())) == len(every) == (world.people.lengths >= 50).sum()
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    again = split_users(world.people, Streams(3), least=50)
    np.testing.assert_array_equal(groups.test, again.test)


def test_calibration_holds_each_account_once(world: World) -> None:
    calibration = world.fitted.calibrations["combined"]
    assert calibration.checkpoints.tolist() == [20, 50]
    users = world.fitted.protocol["users"]["calibrate"]
    habits = calibration.habits[0]
    assert np.bincount(habits).max() <= users  # an account stands once in each habit
    assert len(set(habits.tolist())) > 8
    assert "not their own" in world.fitted.protocol["honest_traffic"]
    assert world.fitted.protocol["times"] == "order only"


def test_too_few_users(world: World) -> None:
    with pytest.raises(DataError, match="three groups need 60"):
        split_users(world.people, Streams(0), least=75)


def test_another_catalog_is_refused(world: World) -> None:
    other = load("synthetic:users=100,items=80,length=20").sequences()
    with pytest.raises(DataError, match="not the same"):
        fit_detectors(world.model, other, FitConfig(), streams=Streams(0))


def test_an_unknown_detector(world: World) -> None:
    plan = FitConfig(queries=20, users=20, detectors={"wheel": {}}, combined=())
    with pytest.raises(ConfigError, match="no detectors called 'wheel'"):
        fit_detectors(world.model, world.people, plan, streams=Streams(0))

"""The small world, fitted once."""

from __future__ import annotations

import pytest
from detection_world import DATA, DETECTORS, QUERIES, World

from recsec.data import load
from recsec.detection import FitConfig, fit_detectors
from recsec.models import Training, train
from recsec.rng import Streams


@pytest.fixture(scope="session")
def world() -> World:
    data = load(DATA)
    model = train("markov", data.split(), seed=0, training=Training(device="cpu"))
    config = FitConfig(queries=QUERIES, users=80, detectors=DETECTORS)
    people = data.sequences()
    fitted, _, groups = fit_detectors(model, people, config, streams=Streams(0))
    return World(model, people, groups, fitted)

"""A small service for tests: a model, detectors, and an application without a socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from recsec.data import load
from recsec.data.sequences import Sequences
from recsec.detection import FitConfig, Fitted, fit_detectors
from recsec.models import Training, train
from recsec.models.base import Recommender
from recsec.rng import Streams
from recsec.serving.engine import Engine

DATA = "synthetic:users=300,items=130,length=30,seed=2"


@dataclass(frozen=True)
class World:
    """Fitted once."""

    model: Recommender
    people: Sequences
    fitted: Fitted
    folder: Path


@dataclass
class Service:
    """One service and a client of it."""

    app: FastAPI
    engine: Engine
    client: TestClient
    logged: list[dict[str, Any]]


Serve = Callable[..., Service]


def small_world(folder: Path) -> World:
    """A model and its detectors, which are saved in the folder too."""
    data = load(DATA)
    model = train("markov", data.split(), seed=0, training=Training(out=folder / "markov"))
    config = FitConfig(queries=25, users=60, patterns={})
    fitted, _, _ = fit_detectors(model, data.sequences(), config, streams=Streams(0))
    fitted.save(folder / "detectors")
    return World(model, data.sequences(), fitted, folder)

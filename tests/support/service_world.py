"""A small service for tests: a model, detectors, and an application without a socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastapi import FastAPI
from starlette.testclient import TestClient

from recsec.data import load, load_photos, split_photos
from recsec.data.sequences import Sequences
from recsec.detection import FitConfig, Fitted, fit_detectors
from recsec.models import Encoder, EncoderConfig, Training, embed, frozen_copy, train
from recsec.models.base import Recommender
from recsec.registry import registry
from recsec.rng import Streams
from recsec.screening import catalog_of
from recsec.serving.engine import Engine
from recsec.serving.photos import Shop
from recsec.targets import LocalTarget
from recsec.targets.meter.segments import Calls
from recsec.traffic import QueryLog

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


def thief_log(world: World, accounts: int, queries: int) -> QueryLog:
    """Histories of uniformly drawn items, the accounts in turns."""
    rng = np.random.default_rng(5)
    items = rng.integers(1, len(world.people.catalog) + 1, (queries, accounts))
    target = LocalTarget(world.model)
    lists = [target.query("t", items[: step + 1].T, 10) for step in range(queries)]
    rows = accounts * queries
    calls = Calls(
        call=np.arange(rows),
        account=[f"thief-{row % accounts}" for row in range(rows)],
        parent=np.arange(rows) - accounts,
        items=items.ravel().astype(np.int32),
        offsets=np.arange(rows + 1),
        k=np.full(rows, 10),
        answers=np.concatenate(lists).astype(np.int32),
    )
    return QueryLog(world.people.catalog, calls)


def small_world(folder: Path) -> World:
    """A model and its detectors, which are saved in the folder too."""
    data = load(DATA)
    model = train("markov", data.split(), seed=0, training=Training(out=folder / "markov"))
    config = FitConfig(queries=25, users=60, patterns={})
    fitted, _, _ = fit_detectors(model, data.sequences(), config, streams=Streams(0))
    fitted.save(folder / "detectors")
    return World(model, data.sequences(), fitted, folder)


def small_shop() -> Shop:
    """Made-up photos, an encoder that has learned nothing, and its screens."""
    split = split_photos(load_photos("photos:items=120,categories=4"), held_out=0.5)
    torch.manual_seed(0)
    encoder = frozen_copy(Encoder(EncoderConfig(size=16, stem=8, widths=(16, 32)), ("a", "b"), {}))
    features = embed(encoder, split.photos, np.arange(len(split.photos)), normalize=False)
    screens = [kind(kind.config_class()) for kind in registry("screens").items().values()]
    catalog = catalog_of(encoder, split, features)
    return Shop.fit(encoder, split, catalog, screens, rng=Streams(0))

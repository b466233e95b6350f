"""A small service for tests: a model, detectors, and an application without a socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from recsec.data.sequences import Sequences
from recsec.detection import Fitted
from recsec.models.base import Recommender
from recsec.serving.engine import Engine


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

"""A small service: a model, detectors, a store, and an application without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backends import Server, postgres_server, redis_server
from service_world import Serve, Service, World, small_shop, small_world
from starlette.testclient import TestClient

from recsec.serving.answering import Answering, Limits
from recsec.serving.api import create_app
from recsec.serving.engine import Engine, open_state
from recsec.serving.photos import Shop, Similar
from recsec.serving.policy import Policy
from recsec.targets import LocalTarget


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return small_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def shop() -> Shop:
    """Photos, and screens of uploads."""
    return small_shop()


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Redis."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    yield server
    server.end()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A real PostgreSQL."""
    server = postgres_server()
    yield server
    server.end()


@pytest.fixture
def serve(world: World, tmp_path: Path) -> Iterator[Serve]:
    """``serve({policy}, ...)`` starts a service; all are drained at the end."""
    opened: list[TestClient] = []

    def start(
        policy: dict[str, Any] | None = None, *, state: str = "state", **options: Any
    ) -> Service:
        told = dict(policy or {})
        p_values = [rule for rule in told.get("rules", ()) if "p_value" in rule]
        if any(rule.get("evidence") != "screen" for rule in p_values):
            told["detectors"] = world.folder / "detectors"
        logged: list[dict[str, Any]] = []
        names, store = open_state(tmp_path / state)
        engine = Engine(
            Policy.model_validate(told),
            names,
            store,
            folder=tmp_path / state,
            fitted=world.fitted if "detectors" in told else None,
            external=world.model.catalog.external,
            live=options.pop("live", None),
            pace=options.pop("pace", None),
            clock=options.pop("clock", None),
            log=lambda event, **more: logged.append({"event": event, **more}),
        )
        bound = options.pop("bound", False)
        target = options.pop("target", None) or LocalTarget(world.model)
        answering = Answering(engine, target, Limits(k=50, history=100), bound=bound)
        shop = options.pop("shop", None)
        similar = None if shop is None else Similar(engine, shop, answering.limits)
        answers = None if options.pop("alone", False) else answering
        app = create_app(answers, similar=similar, open_to_all=options.pop("open_to_all", True))
        client = TestClient(app)
        client.__enter__()
        opened.append(client)
        return Service(app, engine, client, logged)

    yield start
    for client in opened:
        client.__exit__(None, None, None)

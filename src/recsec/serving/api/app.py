"""The application: routes of the native server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Any, cast

from fastapi import Depends, FastAPI, Request, Response
from starlette.responses import JSONResponse, PlainTextResponse

from recsec import __version__
from recsec.data.catalog import Catalog
from recsec.serving.answering import Answering
from recsec.serving.api.callers import caller
from recsec.serving.api.edge import Edge
from recsec.serving.api.gateway import add_gateway
from recsec.serving.api.lists import add_lists
from recsec.serving.api.problems import add_handlers, problem
from recsec.serving.api.similar import PATH, add_similar
from recsec.serving.engine import Engine, open_state
from recsec.serving.photos import BYTES, Similar
from recsec.serving.policy import Policy
from recsec.serving.state import Key
from recsec.targets import CallableTarget

__all__ = ["add_probes", "create_app", "describe"]


def create_app(
    answering: Answering | None, *, similar: Similar | None = None, open_to_all: bool = False
) -> FastAPI:
    """The native server.

    Args:
        answering: the engine and the target behind it; None where only photos are compared.
        similar: answers with visual neighbors, on the same engine; None without photos.
        open_to_all: without any key in the store, everybody may ask. For loopback only.

    Raises:
        ValueError: nobody answers.
    """
    found = answering or similar
    if found is None:
        raise ValueError("nobody answers: a target, photos, or both")
    engine = found.engine

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if answering is not None:
            await answering.probe()
        engine.start()
        yield
        for one in (answering, similar):
            if one is not None:
                one.close()
        engine.drain()

    app = FastAPI(
        title="recsec serve",
        version=__version__,
        summary="A recommender behind a policy.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    add_handlers(app)

    async def client(request: Request) -> Key:  # a plain one would go through a thread
        return caller(engine, request, "client", open_to_all=open_to_all)

    async def there() -> bool:
        return answering is None or await answering.answers()

    asking = Depends(client)
    if answering is not None:
        add_lists(app, answering, asking)
    if similar is not None:
        add_similar(app, similar, asking)
    index = None if answering is None else answering.index
    add_gateway(app, engine, open_to_all=open_to_all, index=index)
    add_probes(app, engine, ready=there)
    app.add_middleware(Edge, engine=engine, larger={} if similar is None else {PATH: BYTES})
    return app


def add_probes(app: FastAPI, engine: Engine, *, ready: Callable[[], Awaitable[bool]]) -> None:
    """``/livez``, ``/readyz`` and ``/metrics``."""
    no_cache = {"Cache-Control": "no-store"}

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n", headers=no_cache)

    async def readyz(_: Request) -> Response:
        if engine.draining or not await ready():
            return problem(503, "Draining" if engine.draining else "Not ready", headers=no_cache)
        return JSONResponse({"ready": True}, headers=no_cache)

    async def metrics(_: Request) -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(engine.metrics.text(), media_type=kind, headers=no_cache)

    routes: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/livez": livez,
        "/readyz": readyz,
        "/metrics": metrics,
    }
    for path, route in routes.items():
        app.add_route(path, route, include_in_schema=False)


def describe() -> dict[str, Any]:
    """The OpenAPI 3.1 description of the native server, without starting one."""
    with TemporaryDirectory() as folder:
        names, store = open_state(FilePath(folder))
        engine = Engine(Policy.model_validate({}), names, store)
        nobody = CallableTarget(lambda histories, k: [], Catalog.from_ids([1]), name="nobody")
        app = create_app(Answering(engine, nobody))
        add_similar(app, cast("Similar", None), Depends(lambda: None))  # nobody asks it
        found = app.openapi()
        store.close()
    return found

"""The application: routes of the native server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from starlette.responses import JSONResponse, PlainTextResponse

from recsec import __version__
from recsec.data.catalog import Catalog
from recsec.serving.answering import Answering, Reply
from recsec.serving.api.bodies import Account, Act, Acted, Ask, Items, Lists, Named
from recsec.serving.api.callers import caller
from recsec.serving.api.edge import Edge
from recsec.serving.api.gateway import add_gateway
from recsec.serving.api.problems import PROBLEMS, Refused, add_handlers, problem
from recsec.serving.api.quick import Quick, tagged
from recsec.serving.engine import Engine, open_state
from recsec.serving.policy import Policy
from recsec.serving.state import Key
from recsec.targets import CallableTarget

__all__ = ["add_probes", "create_app", "describe"]


def create_app(answering: Answering, *, open_to_all: bool = False) -> FastAPI:
    """The native server.

    Args:
        answering: the engine and the target behind it.
        open_to_all: without any key in the store, everybody may ask. For loopback only.
    """
    engine = answering.engine

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await answering.probe()
        engine.start()
        yield
        answering.close()
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

    asking = Depends(client)

    def shorter(k: int, key: Key) -> int:
        most = min(answering.limits.k, key.k)
        if k > most:
            raise Refused(422, "The list is too long", f"k is at most {most}")
        return k

    async def listed(ask: Ask, request: Request, key: Key) -> Reply:
        if answering.bound:
            raise Refused(
                403,
                "Histories are bound",
                "send events to /v1/events and ask /v1/recommend/ACCOUNT",
            )
        if len(ask.history) > answering.limits.history:
            raise Refused(
                422, "The history is too long", f"at most {answering.limits.history} items"
            )
        account = ask.account or f"key {key.id}"
        request.state.account = engine.names.account(account)
        return await answering.recommend(account, ask.history, shorter(ask.k, key), key=key.id)

    @app.post("/v1/recommend", responses=PROBLEMS, tags=["lists"])
    async def recommend(ask: Ask, response: Response, request: Request, key: Key = asking) -> Lists:
        """The list for a history that the client sends; not where histories are bound."""
        reply = await listed(ask, request, key)
        response.headers.update(tagged(reply))
        return Lists.model_construct(items=reply.items)

    @app.post("/v1/events", responses=PROBLEMS, tags=["lists"])
    async def act(event: Act, request: Request, key: Key = asking) -> Acted:
        """Add an event to the history that is kept of an account."""
        request.state.account = engine.names.account(event.account)
        return Acted(counts_in=round(await answering.act(event.account, event.item), 3))

    @app.get("/v1/recommend/{account}", responses=PROBLEMS, tags=["lists"])
    async def look(
        account: Annotated[Account, Path()],
        response: Response,
        request: Request,
        k: Annotated[int, Query(ge=1, le=10_000)] = 10,
        key: Key = asking,
    ) -> Lists:
        """The list for the history that is kept of an account."""
        request.state.account = engine.names.account(account)
        reply = await answering.look(account, shorter(k, key), key=key.id)
        response.headers.update(tagged(reply))
        return Lists.model_construct(items=reply.items)

    @app.get("/v1/items", responses=PROBLEMS, tags=["lists"])
    async def items(search: Annotated[str, Query(max_length=100)] = "", key: Key = asking) -> Items:
        """Items whose title holds all words, at most 50."""
        found = answering.search(search)
        return Items(items=[Named(id=one.id, title=one.title) for one in found])

    add_gateway(app, engine, open_to_all=open_to_all, index=answering.index)
    add_probes(app, engine, ready=answering.answers)
    app.add_middleware(Quick, path="/v1/recommend", client=client, listed=listed)
    app.add_middleware(Edge, engine=engine)
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
        found = create_app(Answering(engine, nobody)).openapi()
        store.close()
    return found

"""The reverse proxy: an API of any kind behind the policy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI

from recsec import __version__
from recsec.serving.api.app import add_probes
from recsec.serving.api.edge import Edge, Receive, Scope, Send
from recsec.serving.api.gateway import add_gateway
from recsec.serving.api.problems import add_handlers
from recsec.serving.engine import Engine
from recsec.serving.places import Places
from recsec.serving.upstream.forward import Forward
from recsec.serving.upstream.watched import Watched

__all__ = ["OWN", "create_proxy"]

OWN: Final = "/.recsec"
"""Where the proxy's own pages begin; all other paths are the upstream's."""


class _Proxy:
    """Hands out requests: its own, or the upstream's."""

    def __init__(self, own: Any, other: Any) -> None:
        self._own = own
        self._other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] == "http" and not f"{scope['path']}/".startswith(f"{OWN}/"):
            await self._other(scope, receive, send)
            return
        if scope["type"] == "http":
            path = scope["path"].removeprefix(OWN) or "/"
            scope = {**scope, "path": path, "raw_path": path.encode("utf-8")}
        await self._own(scope, receive, send)


def create_proxy(
    engine: Engine,
    url: str,
    places: Places,
    *,
    open_to_all: bool = False,
    pages: Callable[[FastAPI], object] = lambda own: None,
) -> Any:
    """An ASGI application before an API written in anything.

    ``/.recsec/livez``, ``readyz``, ``metrics`` and ``v1/...`` (for gateways) are its own.

    Args:
        engine: the policy.
        url: of the API: ``http://host:port``, maybe with a path that goes before all others.
        places: where account, history and list stand.
        open_to_all: see ``create_app``.
        pages: adds more pages to the proxy's own.
    """
    forward = Forward(url)
    watched = Watched(forward, engine, places)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        await forward.close()
        engine.drain()

    own = FastAPI(
        title="recsec serve --upstream",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    add_handlers(own)
    add_gateway(own, engine, open_to_all=open_to_all, index=watched.rows)
    add_probes(own, engine, ready=forward.reachable)
    pages(own)
    own.add_middleware(Edge, engine=engine)
    return _Proxy(own, Edge(watched, engine, passing=True))

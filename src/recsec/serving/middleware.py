"""The policy in front of your own ASGI application: ``app.add_middleware(recsec.Guard, ...)``."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from recsec.errors import ConfigError
from recsec.serving.api.edge import Edge, Receive, Scope, Send
from recsec.serving.api.problems import add_handlers
from recsec.serving.dashboard import PREFIX, Place, add_dashboard
from recsec.serving.engine import Engine, folder_of, open_state
from recsec.serving.policy import read_policy
from recsec.serving.running import json_log
from recsec.serving.upstream.watched import Watched, check_actions

__all__ = ["Guard"]

ROUTE: Final = "guarded"
"""Under which the watched requests are counted."""

STREAM: Final = 10.0
"""Seconds after which a live page connects anew: its server waits for it when it ends."""


class Guard:
    """Watches the requests that ``[traffic]`` of the policy describes; all others pass untouched.

    In shadow the answers pass byte by byte as they come. What cannot be read is let through.

    Args:
        app: the application.
        policy: the file; it needs ``[traffic]``.
        state: the data directory, or ``postgresql://USER@HOST/NAME``.
        dashboard: the path below which operators find their pages, as in ``/recsec``; None: no
            pages. What the application has below it is out of reach then.

    Raises:
        ConfigError: the policy does not fit, or a path that is none.
    """

    def __init__(
        self,
        app: Any,
        *,
        policy: Path | str,
        state: Path | str = "recsec-state",
        dashboard: str | None = None,
    ) -> None:
        rules = read_policy(Path(policy))
        if rules.traffic is None:
            raise ConfigError(
                f"{policy} does not say where account, history and list stand",
                hint='[traffic] with path = "/recommend", account = "header:x-user"',
            )
        check_actions(rules, rules.traffic)
        if dashboard is not None and not re.fullmatch(r"(/[\w.-]+)+", dashboard):
            raise ConfigError(
                f"{dashboard!r} is no path for the dashboard", hint='as in dashboard="/recsec"'
            )
        names, store = open_state(state)
        self.engine = Engine(rules, names, store, folder=folder_of(state), log=json_log())
        self._app = app
        self._watched = Watched(app, self.engine, rules.traffic)
        self._watches = rules.traffic.watches
        self._dashboard = dashboard
        self._pages = self._below(dashboard, Path(policy), folder_of(state)) if dashboard else None
        self._started = False

    def _below(self, dashboard: str, policy: Path, state: Path) -> Any:
        """The pages, as an application of their own."""
        fitted = self.engine.fitted
        title = str if fitted is None else fitted.catalog.title
        own = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        add_handlers(own)
        add_dashboard(own, self.engine, Place(policy, state, title, dashboard, STREAM))
        return Edge(own, self.engine)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._ending(send))
            return
        if scope["type"] == "http" and not self._started:
            self._started = True
            self.engine.start()
        if scope["type"] == "http" and self._pages is not None:
            rest = scope["path"].removeprefix(self._dashboard)
            if rest != scope["path"] and rest[:1] in ("", "/"):
                path = PREFIX + rest
                kept = {"path": path, "raw_path": path.encode("utf-8"), "state": {}}
                await self._pages({**scope, **kept}, receive, send)
                return
        if scope["type"] == "http" and self._watches(scope["path"]):
            await self._counted(scope, receive, send)
            return
        await self._watched(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), 0

        async def sending(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._watched(scope, receive, sending)
        finally:
            metrics = self.engine.metrics
            metrics.requests.labels(ROUTE, str(status)).inc()
            metrics.duration.labels(ROUTE).observe(time.perf_counter() - began)

    def _ending(self, send: Send) -> Send:
        async def sending(message: Any) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await asyncio.to_thread(self.engine.drain)
            await send(message)

        return sending

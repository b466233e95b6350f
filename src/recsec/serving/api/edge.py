"""The edge of the server: bounded bodies in bounded time, request ids, counts and the log."""

from __future__ import annotations

import asyncio
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path as FilePath
from typing import Any, TypeAlias

from recsec.serving.api.problems import problem
from recsec.serving.engine import Engine

__all__ = ["MAX_BODY", "Edge", "Receive", "Scope", "Send"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 256 * 1024
"""Bytes of a request."""

PATIENCE = 10.0
"""Seconds for the body of a request to arrive."""

LARGE = 30.0
"""The same where larger ones are read."""

STILL = 60.0
"""Seconds between two parts of a body that is passed on."""


class _TooMuch(Exception):  # noqa: N818 - a state
    """A body is too large, or too slow."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title


class Edge:
    """ASGI middleware around the whole application.

    Args:
        app: the application.
        engine: for its metrics and its log.
        max_body: bytes of a request that are read.
        patience: seconds for a body to arrive.
        larger: by path, bytes that are read there instead, for which there is more time.
        passing: requests are another server's: answers get no id, bodies may have any size, and
            only a pause of ``STILL`` seconds ends one.
    """

    def __init__(
        self,
        app: Any,
        engine: Engine,
        *,
        max_body: int = MAX_BODY,
        patience: float = PATIENCE,
        larger: Mapping[str, int] | None = None,
        passing: bool = False,
    ) -> None:
        self._app = app
        self._engine = engine
        self._max_body = max_body
        self._patience = patience
        self._larger = dict(larger or {})
        self._passing = passing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, state = time.perf_counter(), {"status": 0, "begun": False}
        scope.setdefault("state", {})["request"] = request = secrets.token_hex(8)

        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                state["status"], state["begun"] = message["status"], True
                if not self._passing:
                    message["headers"] = [
                        *message.get("headers", ()),
                        (b"x-request-id", request.encode()),
                    ]
            await send(message)

        reading = _moving(receive) if self._passing else self._bounded(scope, receive)
        try:
            await self._app(scope, reading, sending)
        except _TooMuch as error:
            if not state["begun"]:
                refusal = problem(error.status, error.title, headers={"Connection": "close"})
                await refusal(scope, receive, sending)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]  # its text may hold anything
            told = f"{type(error).__name__} at {FilePath(place.filename).name}:{place.lineno}"
            self._engine.log("failed", request=request, error=told)
            if not state["begun"]:
                refusal = problem(500, "The server failed", request=request)
                await refusal(scope, receive, sending)
        finally:
            self._note(scope, str(request), int(state["status"]), time.perf_counter() - began)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        left = self._larger.get(scope["path"], self._max_body)
        until = time.monotonic() + (LARGE if scope["path"] in self._larger else self._patience)
        over = declared.isdigit() and (len(declared) > 12 or int(declared) > left)
        whole = False

        async def receiving() -> MutableMapping[str, Any]:
            nonlocal left, whole
            if over:
                raise _TooMuch(413, "The body is too large")
            if whole:
                return await receive()  # waits for the client to go away
            try:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                raise _TooMuch(408, "The body took too long") from None
            left -= len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if left < 0:
                raise _TooMuch(413, "The body is too large")
            return message

        return receiving

    def _note(self, scope: Scope, request: str, status: int, seconds: float) -> None:
        none = "upstream" if self._passing else "none"
        route = getattr(scope.get("route"), "path", None) or none
        if not self._passing and scope["path"] in ("/livez", "/readyz", "/metrics"):
            return
        self._engine.metrics.requests.labels(route, str(status)).inc()
        self._engine.metrics.duration.labels(route).observe(seconds)
        told = {name: scope["state"][name] for name in ("account", "key") if name in scope["state"]}
        self._engine.log(
            "request",
            request=request,
            method=scope["method"],
            route=route,
            code=status,
            ms=round(seconds * 1000, 2),
            **told,
        )


def _moving(receive: Receive) -> Receive:
    """Ends a body of which nothing more comes."""
    whole = False

    async def receiving() -> MutableMapping[str, Any]:
        nonlocal whole
        if whole:
            return await receive()  # waits for the client to go away
        try:
            async with asyncio.timeout(STILL):
                message = await receive()
        except TimeoutError:
            raise _TooMuch(408, "The body took too long") from None
        whole = not message.get("more_body", False)
        return message

    return receiving

"""The routes of the dashboard, and what every request goes through before a page answers it."""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from recsec.errors import RecsecError
from recsec.serving.dashboard.desk import Call, Desk, No, Place, Route
from recsec.serving.dashboard.pages import HEADERS, PREFIX
from recsec.serving.dashboard.sessions import COOKIE
from recsec.serving.dashboard.views import acting, audits, entering, policies, proofs, watching
from recsec.serving.engine import Engine
from recsec.serving.state import StateLost

__all__ = ["LIVE", "ROUTES", "add_dashboard"]

ROUTES: tuple[Route, ...] = (
    *entering.ROUTES,
    *watching.ROUTES,
    *acting.ROUTES,
    *policies.ROUTES,
    *audits.ROUTES,
    *proofs.ROUTES,
)

LIVE = "/live"
EVERY = 2.0
"""Seconds between two looks at what changed."""

STREAMS = 50
"""Pages that are live at a time; more show what there was."""


def add_dashboard(app: FastAPI, engine: Engine, place: Place) -> Desk:
    """Put the dashboard into an application, below ``/dashboard``.

    Where that application itself stands below a path, ``place.prefix`` says what browsers see.

    Without an operator nothing is there. The pulse begins to beat when the engine starts.
    """
    desk = Desk(engine, place)
    for route in ROUTES:
        app.add_api_route(
            PREFIX + route.path,
            _endpoint(desk, route),
            methods=[route.method],
            include_in_schema=False,
            response_model=None,
        )
    live = Route("GET", LIVE, "viewer", lambda desk, call: Response())
    streams = asyncio.Semaphore(STREAMS)

    async def stream(request: Request) -> Response:
        refused, _ = await _prepared(desk, live, request)
        if refused is not None:
            return refused
        if streams.locked():
            return _problem(desk, No(503, "too many pages are live", wait=60), Call(None))
        events = _events(desk, request, streams)
        return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)

    async def begin(_: Request) -> Response:
        return desk.go("/")  # a redirect of the application's would leave out what stands before

    for path, endpoint in ((LIVE, stream), ("", begin)):
        app.add_api_route(PREFIX + path, endpoint, include_in_schema=False, response_model=None)
    desk.pulse.start()
    return desk


def _endpoint(desk: Desk, route: Route) -> Any:
    async def endpoint(request: Request) -> Response:
        refused, call = await _prepared(desk, route, request)
        if refused is not None:
            return refused
        try:
            return await run_in_threadpool(route.answer, desk, call)
        except No as error:
            return _problem(desk, error, call)
        except StateLost:
            return _problem(desk, No(503, "the state does not answer; nothing was changed"), call)
        except RecsecError as error:
            return _problem(desk, No(422, error.message), call)

    return endpoint


async def _prepared(desk: Desk, route: Route, request: Request) -> tuple[Response | None, Call]:
    """What a page is to answer; or why it is not, and then nothing else was looked at."""
    try:
        if not await run_in_threadpool(desk.sessions.anybody):
            return Response("there are no operators\n", 404, headers=HEADERS), Call(None)
        if route.method == "POST":
            _from_here(request)
        token = request.cookies.get(COOKIE)
        who = await run_in_threadpool(desk.sessions.who, token)
        form = _form(request, await request.body()) if route.method == "POST" else {}
        call = Call(
            who=who,
            path=request.path_params,
            query=dict(request.query_params),
            form=form,
            place=request.client.host if request.client else "",
            secure="https" in (request.url.scheme, request.headers.get("x-forwarded-proto")),
            part="hx-request" in request.headers,
        )
        _allowed(route, call)
    except No as error:
        to_login = error.status == 401 and request.method == "GET"
        if to_login and "text/html" in request.headers.get("accept", ""):
            return desk.go("/login"), Call(None)
        return _problem(desk, error, Call(None)), Call(None)
    except StateLost:
        return _problem(desk, No(503, "the state does not answer"), Call(None)), Call(None)
    return None, call


def _from_here(request: Request) -> None:
    """Refuse what another site's page sent: browsers say where a post comes from."""
    origin = request.headers.get("origin")
    here = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not here or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise No(403, "other sites may not send forms here")


def _form(request: Request, body: bytes) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise No(415, "forms are sent as application/x-www-form-urlencoded")
    try:
        return dict(
            parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50, errors="strict")
        )
    except ValueError as error:
        raise No(400, "the form cannot be read") from error


def _allowed(route: Route, call: Call) -> None:
    if route.grade is None:
        return
    if call.who is None:
        raise No(401, "log in first")
    if not call.who.may(route.grade):
        raise No(403, f"this is for the role {route.grade} and above")
    if route.method == "POST" and not hmac.compare_digest(
        call.form.get("mark", "").encode(), call.who.mark.encode()
    ):
        raise No(403, "the form is not of this session; load the page again")


def _problem(desk: Desk, error: No, call: Call) -> Response:
    answer = desk.pages.page(
        "problem.html", status=error.status, who=call.who, told="", acting=False, words=error.words
    )
    if error.wait is not None:
        answer.headers["Retry-After"] = str(math.ceil(error.wait))
    return answer


async def _events(desk: Desk, request: Request, streams: asyncio.Semaphore) -> AsyncIterator[str]:
    """Server-sent events, of what changed only, until the session or the service ends."""
    token, sent = request.cookies.get(COOKIE), dict[str, str]()
    until = time.monotonic() + desk.place.stream
    async with streams:
        while not desk.engine.draining and time.monotonic() < until:
            try:
                if await run_in_threadpool(desk.sessions.who, token, noted=False) is None:
                    return
                parts = await run_in_threadpool(watching.live, desk)
            except (No, StateLost):
                parts = {}
            for name, text in parts.items():
                if sent.get(name) != text:
                    sent[name] = text
                    lines = "".join(f"data: {line}\n" for line in text.splitlines())
                    yield f"event: {name}\n{lines}\n"
            yield ": \n\n"
            await asyncio.sleep(EVERY)

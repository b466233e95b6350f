"""Refusals as RFC 9457 has them: ``application/problem+json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from recsec.errors import DataError, RecsecError
from recsec.serving.answering import Blocked
from recsec.serving.batching import Busy
from recsec.serving.state import Decision, StateLost

__all__ = [
    "PROBLEM",
    "PROBLEMS",
    "REFUSALS",
    "Refused",
    "add_handlers",
    "problem",
    "refusal",
    "turned_away",
]

PROBLEM = "application/problem+json"

PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"description": text, "content": {PROBLEM: {}}}
    for code, text in {
        401: "no good key",
        403: "not with this key, or first the challenge",
        413: "too large",
        422: "does not fit",
        429: "blocked, or too fast; Retry-After says when",
        503: "busy; Retry-After says when",
    }.items()
}
"""Refusals, as the OpenAPI file describes them."""


class Refused(Exception):  # noqa: N818 - an answer
    """A request that is refused, with status, title and detail."""

    def __init__(
        self, status: int, title: str, detail: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})


REFUSALS = (Refused, Blocked, Busy, RecsecError)
"""Errors of a request that become an answer."""


def problem(
    status: int, title: str, *, headers: Mapping[str, str] | None = None, **fields: Any
) -> JSONResponse:
    """A refusal; ``fields`` without a value are left out."""
    body = {"type": "about:blank", "title": title, "status": status}
    body |= {name: value for name, value in fields.items() if value not in (None, "")}
    return JSONResponse(body, status, dict(headers or {}), media_type=PROBLEM)


def turned_away(decision: Decision, wait: float, *, status: int = 429) -> JSONResponse:
    """What a blocked or challenged account is told; ``status`` is of a block."""
    if decision.action == "challenge":
        address = str(decision.parameters["address"])
        headers = {"X-Recsec-Decision": decision.id, "X-Recsec-Challenge": address}
        return problem(
            403,
            "Challenge",
            headers=headers,
            detail="show that you are a person at the address of the challenge",
            decision=decision.id,
            challenge=address,
        )
    fields = {
        "detail": "requests of this account are refused for now; quote the decision to appeal",
        "decision": decision.id,
    }
    headers = {"Retry-After": str(math.ceil(wait)), "X-Recsec-Decision": decision.id}
    return problem(status, "Blocked", headers=headers, **fields)


def refusal(error: Exception) -> JSONResponse:
    """What an error of ``REFUSALS`` becomes."""
    if isinstance(error, Refused):
        return problem(error.status, error.title, detail=error.detail, headers=error.headers)
    if isinstance(error, Blocked):
        return turned_away(error.decision, error.wait)
    if isinstance(error, Busy):
        return problem(503, "Busy", detail="too many requests wait", headers={"Retry-After": "1"})
    if isinstance(error, StateLost):
        return problem(503, "The state does not answer", headers={"Retry-After": "1"})
    if isinstance(error, DataError):
        return problem(422, "Unknown item", detail=error.message[:200])
    return problem(502, "The recommender failed")


def add_handlers(app: FastAPI) -> None:
    """Every failure of a route becomes a problem, and none shows what is inside."""

    async def refused(_: Request, error: Exception) -> JSONResponse:
        return refusal(error)

    for kind in REFUSALS:
        app.add_exception_handler(kind, refused)

    @app.exception_handler(RequestValidationError)
    async def misshapen(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            {"where": ".".join(map(str, fault["loc"])), "what": str(fault["msg"])[:200]}
            for fault in error.errors()[:10]
        ]
        return problem(422, "The request does not fit", faults=faults)

    @app.exception_handler(HTTPException)
    async def plain(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), headers=error.headers)

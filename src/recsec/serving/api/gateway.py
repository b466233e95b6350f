"""For gateways and for those who only ship logs: decisions out, requests in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from fastapi import Depends, FastAPI, Path, Query, Request, Response
from pydantic import BaseModel

from recsec.errors import DataError
from recsec.serving.api.bodies import Freed, Logged, Passed, Told
from recsec.serving.api.callers import caller
from recsec.serving.api.problems import PROBLEM, PROBLEMS, Refused, turned_away
from recsec.serving.engine import Engine
from recsec.serving.evidence import NONE, Event
from recsec.serving.policy import Policy
from recsec.serving.state import Key
from recsec.types import IntArray, ItemId

__all__ = ["add_gateway"]

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Decided(BaseModel):
    """Decisions that hold, or what changed since a revision."""

    revision: int
    new: list[Told]
    deleted: list[Told]


class Taken(BaseModel):
    """How much of a log was taken."""

    taken: int
    unknown_items: int


def add_gateway(
    app: FastAPI,
    engine: Engine,
    *,
    open_to_all: bool,
    index: Callable[[Sequence[ItemId]], IntArray] | None,
) -> None:
    """``/v1/check``, ``/v1/decisions`` and ``/v1/log``.

    Args:
        app: gets the routes.
        engine: has the decisions.
        open_to_all: see ``caller``.
        index: catalog indices of external ids; None without a catalog.
    """

    async def gateway(request: Request) -> Key:
        return caller(engine, request, "gateway", open_to_all=open_to_all)

    asking = Depends(gateway)

    def verdict(request: Request, asked: str, key: Key) -> Response:
        if not asked:  # what cannot be read passes: a gateway makes an outage of anything else
            return Response(status_code=204, headers={"X-Recsec-Action": "unknown"})
        name = engine.names.account(asked)
        request.state.account = name
        treatment = engine.treatment(name, key.id)
        engine.note(Event(name, key.id, engine.clock()))
        decision = treatment.enforced
        if decision is None:
            return Response(status_code=204, headers={"X-Recsec-Action": "observe"})
        wait = max(0.0, decision.until - engine.clock())
        if decision.action in ("block", "challenge"):
            return turned_away(decision, wait, status=403)
        headers = {"X-Recsec-Action": decision.action, "X-Recsec-Decision": decision.id}
        return Response(status_code=204, headers=headers)

    @app.get(
        "/v1/check",
        tags=["gateways"],
        status_code=204,
        responses=PROBLEMS | {403: {"description": "blocked", "content": {PROBLEM: {}}}},
    )
    async def check(
        request: Request,
        account: Annotated[str, Query(max_length=200)] = "",
        key: Key = asking,
    ) -> Response:
        """May this account be served? For nginx's auth_request and Traefik's ForwardAuth.

        The account is the query's, or what ``[traffic]`` of the policy finds in the headers and in
        the address that the gateway tells (X-Forwarded-Uri, X-Original-Uri), or that of the header
        X-Recsec-Account.
        """
        told = request.headers.get("x-forwarded-uri") or request.headers.get("x-original-uri", "/")
        return verdict(request, account or _account(engine.policy, request, told), key)

    @app.api_route("/v1/check/{rest:path}", methods=METHODS, include_in_schema=False)
    async def check_there(request: Request, rest: str, key: Key = asking) -> Response:
        """``check`` as Envoy's ext_authz asks: with method and address of the request itself."""
        told = f"/{rest}?{request.url.query}"
        return verdict(request, _account(engine.policy, request, told), key)

    @app.get("/v1/decisions", responses=PROBLEMS, tags=["gateways"])
    async def decisions(
        account: Annotated[str | None, Query(max_length=200)] = None,
        since: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
        shadow: bool = False,
        key: Key = asking,
    ) -> Decided:
        """Decisions that hold, of one account or of all; with `since`, what changed after it.

        `since` is the revision of the last answer. Decisions that end by themselves are not told:
        `until` says when. Accounts are named as they are kept.
        """
        now = engine.clock()
        if since is None:
            found = engine.ledger.active()
            revision = engine.ledger.revision
        else:
            revision = engine.ledger.revision
            found = await asyncio.to_thread(engine.store.decisions, since=since)
            revision = max([revision, *(one.revision for one in found)])
        if account is not None:
            name = engine.names.known_as(account)
            found = [one for one in found if one.subject == name]
        shown = [one for one in found if one.enforced or shadow]
        return Decided(
            revision=revision,
            new=[Told.of(one) for one in shown if one.active(now)],
            deleted=[Told.of(one) for one in shown if one.lifted is not None],
        )

    @app.post(
        "/v1/challenges/{decision}",
        responses=PROBLEMS | {404: {"description": "no such challenge", "content": {PROBLEM: {}}}},
        tags=["gateways"],
    )
    async def passed(
        decision: Annotated[str, Path(max_length=40)], told: Passed, key: Key = asking
    ) -> Freed:
        """An account passed its challenge: for a while rules only observe it.

        Call it from the server that challenges, with a key of a gateway; never let a client do so.
        """
        name = None if told.account is None else engine.names.account(told.account)
        found = await asyncio.to_thread(
            engine.ledger.passed, decision, name, actor=f"key {key.id}", reason=told.reason
        )
        if found is None or found.until is None:
            raise Refused(
                404,
                "No challenge",
                "no decision of that name challenges anybody now, or it is about several accounts "
                "and none is named",
            )
        return Freed(until=found.until)

    @app.post("/v1/log", responses=PROBLEMS, tags=["gateways"])
    async def log(logged: Logged, key: Key = asking) -> Taken:
        """Requests that another server answered, for the evidence; unknown items are left out."""
        unknown = 0

        def known(items: Sequence[ItemId]) -> IntArray:
            nonlocal unknown
            if index is None:
                return NONE
            try:
                return index(items)
            except DataError:
                kept = []
                for item in items:
                    try:
                        kept.append(int(index([item])[0]))
                    except DataError:
                        unknown += 1
                return np.array(kept, dtype=np.int64)

        for query in logged.queries:
            history = None if query.history is None else known(query.history)
            name = engine.names.account(query.account)
            engine.note(Event(name, key.id, engine.clock(), history, known(query.answer)))
        return Taken(taken=len(logged.queries), unknown_items=unknown)


def _account(policy: Policy, request: Request, address: str) -> str:
    """The account of a request that a gateway tells about; empty if it is not to be found."""
    if policy.traffic is not None:
        path, _, query = address.partition("?")
        headers = dict(request.headers)
        return policy.traffic.request(path, query.encode("utf-8"), headers, None).account or ""
    return request.headers.get("x-recsec-account", "")[:200]

"""Lists after histories: sent by clients, or kept here."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query, Request, Response

from recsec.serving.answering import Answering, Reply
from recsec.serving.api.bodies import Account, Act, Acted, Ask, Items, Lists, Named
from recsec.serving.api.callers import Client, listed_length, scores_allowed
from recsec.serving.api.problems import PROBLEMS, Refused
from recsec.serving.api.quick import Quick, tagged
from recsec.serving.state import Key

__all__ = ["add_lists"]


def add_lists(app: FastAPI, answering: Answering, asking: Client) -> None:
    """``/v1/recommend``, ``/v1/events`` and ``/v1/items``.

    Args:
        app: gets the routes.
        answering: who answers.
        asking: the key of a client.
    """
    engine = answering.engine

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
        k = listed_length(ask.k, answering.limits.k, key)
        if ask.scores:
            scores_allowed(key, there=answering.has_scores)
        return await answering.recommend(account, ask.history, k, key=key.id, scores=ask.scores)

    @app.post(
        "/v1/recommend", responses=PROBLEMS, tags=["lists"], response_model_exclude_unset=True
    )
    async def recommend(ask: Ask, response: Response, request: Request, key: Key = asking) -> Lists:
        """The list for a history that the client sends; not where histories are bound."""
        reply = await listed(ask, request, key)
        response.headers.update(tagged(reply))
        return Lists.of(reply.items, reply.scores)

    @app.post("/v1/events", responses=PROBLEMS, tags=["lists"])
    async def act(event: Act, request: Request, key: Key = asking) -> Acted:
        """Add an event to the history that is kept of an account."""
        request.state.account = engine.names.account(event.account)
        return Acted(counts_in=round(await answering.act(event.account, event.item), 3))

    @app.get(
        "/v1/recommend/{account}",
        responses=PROBLEMS,
        tags=["lists"],
        response_model_exclude_unset=True,
    )
    async def look(
        account: Annotated[Account, Path()],
        response: Response,
        request: Request,
        k: Annotated[int, Query(ge=1, le=10_000)] = 10,
        scores: Annotated[bool, Query(description="scores too, if the key allows it")] = False,
        key: Key = asking,
    ) -> Lists:
        """The list for the history that is kept of an account."""
        request.state.account = engine.names.account(account)
        most = listed_length(k, answering.limits.k, key)
        if scores:
            scores_allowed(key, there=answering.has_scores)
        reply = await answering.look(account, most, key=key.id, scores=scores)
        response.headers.update(tagged(reply))
        return Lists.of(reply.items, reply.scores)

    @app.get("/v1/items", responses=PROBLEMS, tags=["lists"])
    async def items(search: Annotated[str, Query(max_length=100)] = "", key: Key = asking) -> Items:
        """Items whose title holds all words, at most 50."""
        found = answering.search(search)
        return Items(items=[Named(id=one.id, title=one.title) for one in found])

    app.add_middleware(Quick, path="/v1/recommend", client=asking.dependency, listed=listed)

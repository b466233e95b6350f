"""The policy around an ASGI application that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from recsec.errors import ConfigError
from recsec.serving.api.edge import Receive, Scope, Send
from recsec.serving.api.problems import turned_away
from recsec.serving.engine import Engine
from recsec.serving.evidence import Event
from recsec.serving.places import Places, Seen
from recsec.serving.policy import Policy, check_screens, marking
from recsec.serving.state import Decision
from recsec.serving.upstream.answer import MOST, Answer
from recsec.types import IntArray, ItemId

__all__ = ["Watched", "check_actions"]

REWRITING: Final = ("shorten", "decoy")
"""Actions that change the list, so it has to come whole and uncompressed."""


class Watched:
    """Watches the requests that ``places`` describes; all others pass untouched.

    In shadow the answers pass byte by byte as they come. What cannot be read is let through. At
    most 256 KB of a request and of an answer are held; larger ones pass and add no history.

    Args:
        app: the application.
        engine: the policy.
        places: where account, history and list stand.
    """

    def __init__(self, app: Any, engine: Engine, places: Places) -> None:
        self._app = app
        self._places = places
        self.engine = engine
        fitted = engine.fitted
        ids = [] if fitted is None else fitted.catalog.table["id"].to_list()
        self._ids: list[ItemId] = ids
        self._index = {str(item): row for row, item in enumerate(ids, 1)}
        self._elsewhere = engine.names.elsewhere(len(ids))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http" or not self._places.watches(scope["path"]):
            await self._app(scope, receive, send)
            return
        body, replayed = await _read(receive) if self._places.needs_body else (b"", receive)
        seen = self._seen(scope, body)
        if seen.account is None:
            await self._app(scope, replayed, send)
            return
        name = self.engine.names.account(seen.account)
        scope.setdefault("state", {})["account"] = name
        await self._guarded(scope, body, replayed, send, name, seen)

    async def _guarded(
        self, scope: Scope, body: bytes, receive: Receive, send: Send, name: str, seen: Seen
    ) -> None:
        engine, treatment = self.engine, self.engine.treatment(name, "")
        decision, action = treatment.enforced, treatment.action
        if decision is not None and action in ("block", "challenge"):
            engine.note(Event(name, "", engine.clock()))
            wait = max(0.0, decision.until - engine.clock())
            await turned_away(decision, wait)(scope, receive, send)
            return
        if decision is not None and action == "slow":
            await asyncio.sleep(float(decision.parameters["delay"]))
        answer = Answer(send, tag=decision.id if decision and action == "tag" else None)
        if decision is not None and action in REWRITING:
            scope, receive = self._turned(scope, body, receive, decision)
            without = {str(one) for one in seen.history or ()} if action == "decoy" else set()
            length = int(decision.parameters["length"]) if action == "shorten" else None
            answer.change = partial(self._places.kept, length=length, without=without)
        await self._app(scope, receive, answer)
        history = None if seen.history is None else self.rows(seen.history)
        served = self._places.served(answer.body) if answer.good else None
        at = engine.clock()
        engine.note(Event(name, "", at, history if answer.good else None, self.rows(served or ())))

    def _turned(
        self, scope: Scope, body: bytes, receive: Receive, decision: Decision
    ) -> tuple[Scope, Receive]:
        """A request for an answer that can be changed; for decoys, one after another history."""
        plain = (b"accept-encoding", b"range", b"if-range")
        headers = [pair for pair in scope["headers"] if pair[0] not in plain]
        if decision.action != "decoy":
            return {**scope, "headers": headers}, receive
        moved = self._places.moved(scope["query_string"], body, self._other)
        if moved is None:
            return {**scope, "headers": headers}, receive
        query, body = moved
        if self._places.needs_body:
            size = (b"content-length", str(len(body)).encode())
            framing = (b"content-length", b"transfer-encoding")
            headers = [*(pair for pair in headers if pair[0] not in framing), size]
            receive = _Whole(body, receive)
        return {**scope, "query_string": query, "headers": headers}, receive

    def _other(self, item: ItemId) -> ItemId:
        row = int(self._elsewhere[self._index.get(str(item), 0)])
        return self._ids[row - 1] if row else item

    def _seen(self, scope: Scope, body: bytes) -> Seen:
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        return self._places.request(scope["path"], scope["query_string"], headers, body)

    def rows(self, items: Sequence[ItemId]) -> IntArray:
        """Catalog indices; items that the detectors do not know are left out."""
        found = [self._index.get(str(item), 0) for item in items]
        return np.array([row for row in found if row], dtype=np.int64)


def check_actions(policy: Policy, places: Places) -> None:
    """Refuse a policy that asks for what cannot be done in front of an application.

    Raises:
        ConfigError: decoys, where the history is not known or cannot be replaced; screens; marks.
    """
    check_screens(policy, screened=False)
    for rule in marking(policy):
        raise ConfigError(
            f"the rule {rule.name} marks lists, and other servers make them here",
            hint="recsec serve guarded.toml serves a model with a watermark",
        )
    decoys = any(rule.action == "decoy" for rule in policy.rules)
    changeable = (places.history or "").startswith(("$", "query:"))
    if decoys and not (changeable and policy.detectors is not None):
        raise ConfigError(
            "decoys are lists of another history, so detectors must know the items, and the "
            "history must stand in the body or the query",
            hint="name detectors and history, or block or shorten",
        )


class _Whole:
    """A ``receive`` that gives one body, and then what the client does."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Any:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The body, and a ``receive`` that gives the same messages again."""
    kept: list[Any] = []
    size, whole = 0, False
    while size <= MOST and not whole:
        kept.append(await receive())
        size += len(kept[-1].get("body", b""))
        whole = not kept[-1].get("more_body", False)
    body = b"".join(one.get("body", b"") for one in kept) if whole else b""

    async def again() -> Any:
        return kept.pop(0) if kept else await receive()

    return body, again

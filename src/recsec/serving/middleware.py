"""The policy in front of your own ASGI application: ``app.add_middleware(recsec.Guard, ...)``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from recsec.errors import ConfigError
from recsec.serving.api.problems import blocked_fields, problem
from recsec.serving.engine import Engine, folder_of, open_state
from recsec.serving.evidence import Event
from recsec.serving.places import Places, Seen
from recsec.serving.policy import read_policy
from recsec.serving.running import json_log
from recsec.types import IntArray, ItemId

__all__ = ["Guard"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

MOST = 256 * 1024
"""Bytes of a request or an answer that are read; a larger one passes and adds no history."""


class Guard:
    """Watches the requests that ``[traffic]`` of the policy describes; all others pass untouched.

    In shadow the answers pass byte by byte as they come. What cannot be read is let through.

    Args:
        app: the application.
        policy: the file; it needs ``[traffic]``.
        state: the data directory, or ``postgresql://USER@HOST/NAME``.

    Raises:
        ConfigError: the policy does not fit.
    """

    def __init__(self, app: Any, *, policy: Path | str, state: Path | str = "recsec-state") -> None:
        rules = read_policy(Path(policy))
        if rules.traffic is None:
            raise ConfigError(
                f"{policy} does not say where account, history and list stand",
                hint='[traffic] with path = "/recommend", account = "header:x-user"',
            )
        if any(rule.action == "decoy" for rule in rules.rules):
            raise ConfigError(
                "decoys need the recommender, which stands behind your application",
                hint="recsec serve MODEL makes them; here, block or shorten",
            )
        self._app = app
        self._places: Places = rules.traffic
        names, store = open_state(state)
        self.engine = Engine(rules, names, store, folder=folder_of(state), log=json_log())
        fitted = self.engine.fitted
        ids = [] if fitted is None else fitted.catalog.table["id"].to_list()
        self._index = {str(item): row for row, item in enumerate(ids, 1)}
        self._started = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._ending(send))
            return
        if scope["type"] != "http" or not scope["path"].startswith(self._places.path):
            await self._app(scope, receive, send)
            return
        if not self._started:
            self._started = True
            self.engine.start()
        body, replayed = await self._read(receive) if self._places.needs_body else (b"", receive)
        seen = self._seen(scope, body)
        if seen.account is None:
            await self._app(scope, replayed, send)
            return
        await self._guarded(scope, replayed, send, self.engine.names.account(seen.account), seen)

    async def _guarded(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, name: str, seen: Seen
    ) -> None:
        engine, treatment = self.engine, self.engine.treatment(name, "")
        decision, action = treatment.enforced, treatment.action
        if decision is not None and action == "block":
            engine.note(Event(name, "", engine.clock()))
            wait = max(0.0, decision.until - engine.clock())
            fields, headers = blocked_fields(decision, wait)
            await problem(429, "Blocked", headers=headers, **fields)(scope, receive, send)
            return
        if decision is not None and action == "slow":
            await asyncio.sleep(float(decision.parameters["delay"]))
        tag = decision.id if decision is not None and action == "tag" else None
        length = int(decision.parameters["length"]) if decision and action == "shorten" else None
        answer = _Answer(send, self._places, tag=tag, length=length)
        await self._app(scope, receive, answer)
        history = None if seen.history is None else self._rows(seen.history)
        served = self._places.served(answer.body) if answer.status == 200 else None
        rows = self._rows(served or ())
        engine.note(
            Event(name, "", engine.clock(), history if answer.status == 200 else None, rows)
        )

    def _seen(self, scope: MutableMapping[str, Any], body: bytes) -> Seen:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        return self._places.request(scope["path"], scope["query_string"], headers, body)

    def _rows(self, items: Sequence[ItemId]) -> IntArray:
        """Catalog indices; items that the detectors do not know are left out."""
        found = [self._index.get(str(item), 0) for item in items]
        return np.array([row for row in found if row], dtype=np.int64)

    async def _read(self, receive: Receive) -> tuple[bytes, Receive]:
        """The body, and a ``receive`` that gives the same messages again."""
        kept: list[Message] = []
        size, whole = 0, False
        while size <= MOST and not whole:
            kept.append(await receive())
            size += len(kept[-1].get("body", b""))
            whole = not kept[-1].get("more_body", False)
        body = b"".join(one.get("body", b"") for one in kept) if whole else b""

        async def again() -> Message:
            return kept.pop(0) if kept else await receive()

        return body, again

    def _ending(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await asyncio.to_thread(self.engine.drain)
            await send(message)

        return sending


class _Answer:
    """Passes an answer on and keeps a copy; changes only what an enforced decision asks for."""

    def __init__(self, send: Send, places: Places, *, tag: str | None, length: int | None) -> None:
        self._send = send
        self._places = places
        self._tag = tag
        self._length = length
        self._head: Message | None = None
        self._size = 0
        self._kept: list[bytes] = []
        self.status = 0

    @property
    def body(self) -> bytes:
        """What was sent; empty if it was too large to keep."""
        return b"".join(self._kept) if self._size <= MOST else b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            if self._tag is not None:
                tag = (b"x-recsec-decision", self._tag.encode())
                message = {**message, "headers": [*message.get("headers", ()), tag]}
            if self._length is not None and self.status == 200:
                self._head = message
                return
        elif message["type"] == "http.response.body":
            part = message.get("body", b"")
            self._size += len(part)
            if self._size <= MOST:
                self._kept.append(part)
            if self._head is not None:
                await self._shorten(part, more=bool(message.get("more_body", False)))
                return
        await self._send(message)

    async def _shorten(self, part: bytes, *, more: bool) -> None:
        """Hold the answer back until it is whole; one that is too large passes as it is."""
        head, large = self._head, self._size > MOST
        if head is None or (more and not large):
            return
        body = b"".join([*self._kept, *([part] if large else [])])
        if not large:
            body = self._places.shortened(body, self._length or 0)
            self._kept = [body]
            size = (b"content-length", str(len(body)).encode())
            others = [pair for pair in head["headers"] if pair[0].lower() != size[0]]
            head = {**head, "headers": [*others, size]}
        self._head = None
        await self._send(head)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

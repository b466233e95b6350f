"""Pass requests on to a server of any kind, and its answers back, as they come."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, Final

import httpcore

from recsec.serving.api.edge import Receive, Scope, Send
from recsec.serving.api.problems import problem

__all__ = ["Forward"]

HOP: Final = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade", b"proxy-authenticate", b"proxy-authorization"),
    )
)
"""Headers of one connection, which end here (RFC 9110, 7.6.1)."""

REPEATABLE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
MOST_IDLE: Final = 256
KEPT: Final = 4.0
"""Seconds for which an idle connection is kept: less than the five of common servers."""
TIMES: Final = {"connect": 5.0, "read": 60.0, "write": 60.0}
"""Seconds; ``read`` and ``write`` of one part, so a stream may last."""
LAST_STATUS: Final = 599

Headers = list[tuple[bytes, bytes]]


class Forward:
    """ASGI application that another server answers.

    Bodies go through part by part in both directions, compressed or not, and nothing is decoded.
    Method, path, query and headers stay, ``Host`` too; headers of one connection are left out, and
    ``X-Forwarded-For`` and ``X-Forwarded-Proto`` say who asked. A server that cannot be reached
    gives 502, one that is silent 504. An answer that breaks off breaks off here too.

    Args:
        url: ``http://host:port`` or ``https://host``, maybe with a path before all others.
    """

    def __init__(self, url: str) -> None:
        parsed = httpcore.URL(url)
        self._place = (parsed.scheme, parsed.host, parsed.port)
        self._before = parsed.target.partition(b"?")[0].rstrip(b"/")
        self._free = _Free(parsed.origin)

    async def close(self) -> None:
        """Close the connections."""
        await self._free.close()

    async def reachable(self) -> bool:
        """Whether the server takes connections."""
        scheme, host, port = self._place
        port = port or (443 if scheme == b"https" else 80)
        try:
            async with asyncio.timeout(TIMES["connect"]):
                _, writer = await asyncio.open_connection(host.decode("ascii"), port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        path = scope.get("raw_path") or scope["path"].encode("utf-8")
        if not path.startswith(b"/"):
            await problem(400, "The path does not begin with /")(scope, receive, send)
            return
        try:
            connection, answer = await self._ask(scope, self._before + path, receive)
        except (httpcore.TimeoutException, TimeoutError):
            await problem(504, "The upstream does not answer in time")(scope, receive, send)
            return
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol):
            await problem(502, "The upstream does not answer")(scope, receive, send)
            return
        try:
            await self._pass(answer, receive, send)
        finally:
            await answer.aclose()
            await self._free.give(connection)

    async def _ask(
        self, scope: Scope, target: bytes, receive: Receive
    ) -> tuple[httpcore.AsyncHTTPConnection, httpcore.Response]:
        method = scope["method"].encode("ascii")
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        headers, framed = _onwards(scope)
        request = httpcore.Request(
            method,
            httpcore.URL(
                scheme=self._place[0], host=self._place[1], port=self._place[2], target=target
            ),
            headers=headers,
            content=_body(receive) if framed else None,
            extensions={"timeout": TIMES},
        )
        try:
            return await self._free.ask(request)
        except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError):
            if framed or method not in REPEATABLE:
                raise  # it may have been done already
            return await self._free.ask(request)

    async def _pass(self, answer: httpcore.Response, receive: Receive, send: Send) -> None:
        if answer.status > LAST_STATUS:
            raise httpcore.RemoteProtocolError(f"status {answer.status}")
        headers = _without_hops(answer.headers)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        gone: asyncio.Task[None] | None = None
        try:
            async for part in answer.aiter_stream():
                if gone is not None and gone.done():
                    return
                await send({"type": "http.response.body", "body": part, "more_body": True})
                if gone is None:
                    gone = asyncio.create_task(_disconnected(receive))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if gone is not None:
                gone.cancel()


class _Free:
    """Connections that wait for a request, the newest used first.

    httpcore's pool looks at every connection, and polls each idle one, for every request.
    """

    def __init__(self, origin: httpcore.Origin) -> None:
        self._origin = origin
        self._secure = ssl.create_default_context() if origin.scheme == b"https" else None
        self._idle: list[httpcore.AsyncHTTPConnection] = []

    async def ask(
        self, request: httpcore.Request
    ) -> tuple[httpcore.AsyncHTTPConnection, httpcore.Response]:
        """Send a request on a connection that is free, or on a new one."""
        connection = None
        while self._idle and connection is None:
            connection = self._idle.pop()
            if connection.has_expired() or not connection.is_idle():
                await connection.aclose()
                connection = None
        if connection is None:
            connection = httpcore.AsyncHTTPConnection(
                self._origin, ssl_context=self._secure, keepalive_expiry=KEPT
            )
        try:
            return connection, await connection.handle_async_request(request)
        except BaseException:
            await connection.aclose()
            raise

    async def give(self, connection: httpcore.AsyncHTTPConnection) -> None:
        """Take a connection back after its answer; the oldest that nobody used are closed."""
        if connection.is_idle():
            self._idle.append(connection)
        else:
            await connection.aclose()
        while self._idle and (len(self._idle) > MOST_IDLE or self._idle[0].has_expired()):
            await self._idle.pop(0).aclose()

    async def close(self) -> None:
        """Close what waits."""
        while self._idle:
            await self._idle.pop().aclose()


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise httpcore.ReadError("whoever asks went away")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _without_hops(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    pairs = list(headers)
    named = {
        name.strip().lower()
        for header, value in pairs
        if header.lower() == b"connection"
        for name in value.split(b",")
    }
    return [pair for pair in pairs if (name := pair[0].lower()) not in HOP and name not in named]


def _onwards(scope: Scope) -> tuple[Headers, bool]:
    """The headers that go on, and whether a body follows."""
    sent: Headers = scope["headers"]
    chunked = any(name == b"transfer-encoding" for name, _ in sent)
    framed = chunked or any(name == b"content-length" and value != b"0" for name, value in sent)
    headers = [pair for pair in _without_hops(sent) if pair[0] not in (b"expect", FORWARDED)]
    if chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    client: Any = scope.get("client")
    hops = [value for name, value in sent if name == FORWARDED]
    hops += [client[0].encode("ascii")] if client else []
    if hops:
        headers.append((FORWARDED, b", ".join(hops)))
    if not any(name == b"x-forwarded-proto" for name, _ in headers):
        headers.append((b"x-forwarded-proto", scope["scheme"].encode("ascii")))
    return headers, framed


FORWARDED: Final = b"x-forwarded-for"

"""Pass requests on to a server of any kind, and its answers back, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, urlsplit

from recsec.serving.api.edge import Receive, Scope, Send
from recsec.serving.api.problems import problem
from recsec.serving.upstream.connection import CONNECT, Connection, Free, Headers, Lost

__all__ = ["Forward"]

HOP: Final = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade", b"proxy-authenticate", b"proxy-authorization"),
    )
)
"""Headers of one connection, which end here (RFC 9110, 7.6.1)."""

REPEATABLE: Final = ("GET", "HEAD", "OPTIONS")
FORWARDED: Final = b"x-forwarded-for"
SAFE: Final = "/%:@!$&'()*+,;=~-._"


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
        parsed = urlsplit(url)
        secure = parsed.scheme == "https"
        self._place = str(parsed.hostname), parsed.port or (443 if secure else 80)
        self._before = quote(parsed.path.rstrip("/"), safe=SAFE).encode("ascii")
        self._host = parsed.netloc.rpartition("@")[2].encode("idna")
        self._free = Free(*self._place, secure=secure)

    async def close(self) -> None:
        """Close the connections."""
        self._free.close()

    async def reachable(self) -> bool:
        """Whether the server takes connections."""
        try:
            async with asyncio.timeout(CONNECT):
                _, writer = await asyncio.open_connection(*self._place)
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
            answer = await self._ask(scope, self._before + path, receive)
        except TimeoutError:
            await problem(504, "The upstream does not answer in time")(scope, receive, send)
            return
        except Lost:
            await problem(502, "The upstream does not answer")(scope, receive, send)
            return
        try:
            await self._pass(answer, receive, send)
        finally:
            self._free.give(answer)

    async def _ask(self, scope: Scope, target: bytes, receive: Receive) -> Connection:
        """A connection on which the head of an answer has come."""
        method = scope["method"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        headers, framing = self._onwards(scope)
        lines = [b"%s: %s\r\n" % pair for pair in headers]
        head = b"%s %s HTTP/1.1\r\n%s\r\n" % (method.encode("ascii"), target, b"".join(lines))
        repeatable = framing is None and method in REPEATABLE
        while True:
            connection = await self._free.take()
            body = None if framing is None else _body(receive, chunked=framing == b"chunked")
            try:
                await connection.ask(head, body, bodiless=method == "HEAD")
            except BaseException as error:
                connection.close()
                if not (repeatable and isinstance(error, Lost)):
                    raise  # it may have been done already
                repeatable = False
            else:
                return connection

    def _onwards(self, scope: Scope) -> tuple[Headers, bytes | None]:
        """The headers that go on, and how a body is framed; None: there is none."""
        sent: Headers = scope["headers"]
        chunked = any(name == b"transfer-encoding" for name, _ in sent)
        framed = any(name == b"content-length" and value != b"0" for name, value in sent)
        headers = [pair for pair in _without_hops(sent) if pair[0] not in (b"expect", FORWARDED)]
        if not any(name == b"host" for name, _ in headers):
            headers.append((b"host", self._host))
        if chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        client: Any = scope.get("client")
        hops = [value for name, value in sent if name == FORWARDED]
        hops += [client[0].encode("ascii")] if client else []
        if hops:
            headers.append((FORWARDED, b", ".join(hops)))
        if not any(name == b"x-forwarded-proto" for name, _ in headers):
            headers.append((b"x-forwarded-proto", scope["scheme"].encode("ascii")))
        return headers, b"chunked" if chunked else b"length" if framed else None

    async def _pass(self, answer: Connection, receive: Receive, send: Send) -> None:
        headers = _without_hops(answer.headers)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        gone: asyncio.Task[None] | None = None
        try:
            async for part in answer.parts():
                if gone is not None and gone.done():
                    return
                await send({"type": "http.response.body", "body": part, "more_body": True})
                if gone is None:
                    gone = asyncio.create_task(_disconnected(receive))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if gone is not None:
                gone.cancel()


async def _body(receive: Receive, *, chunked: bool) -> AsyncIterator[bytes]:
    """What goes over the wire."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Lost("whoever asks went away")
        part, more = message.get("body", b""), message.get("more_body", False)
        if chunked:
            part = b"%x\r\n%s\r\n" % (len(part), part) if part else b""
            part += b"" if more else b"0\r\n\r\n"
        if part:
            yield part


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

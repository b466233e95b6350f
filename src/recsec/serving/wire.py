"""HTTP on the wire: heads bounded in bytes and time, answers in one packet.

Requests are parsed by llhttp (``httptools``), the parser of Node, a third of the price of h11.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["MAX_HEAD", "Wire"]

HEADERS: Final = 10.0
"""Seconds for the head of a request to arrive."""

MAX_HEAD: Final = 32 * 1024
"""Bytes of the head of a request."""

PIPELINED: Final = 32
"""Requests that may wait on one connection for the answer to an earlier one."""


class Together:
    """A transport that sends what is written within one turn of the loop at once.

    uvicorn writes head, body and end apart: three packets, and three calls of the system.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, part: bytes) -> None:
        """Keep it for the end of this turn."""
        if not self._kept:
            self._loop.call_soon(self._flush)
        self._kept.append(part)

    def close(self) -> None:
        """Send what is kept, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        kept, self._kept = b"".join(self._kept), []
        if kept and not self._transport.is_closing():
            self._transport.write(kept)


class _Refused(Exception):  # noqa: N818 - the parser makes an error of it
    """A head that is not taken."""


class Wire(HttpToolsProtocol):
    """uvicorn's protocol with bounds.

    A head that is too large, an encoding of the transfer that is not ``chunked`` and too many
    requests at once are refused; a connection on which a head does not arrive in time is closed
    (slow loris). A wish to upgrade is not followed, and its body is read all the same.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See ``asyncio.Protocol``."""
        super().connection_made(Together(transport, self.loop))  # type: ignore[arg-type]
        self._head: int | None = 0
        self._size = 0
        self._since: float | None = self.loop.time()
        self._again = False
        self._clock = self.loop.call_later(HEADERS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._clock.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        if self._since is not None and self.loop.time() - self._since >= 0.99 * HEADERS:
            self.transport.close()
        elif not self.transport.is_closing():
            self._clock = self.loop.call_later(HEADERS, self._look)

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        self._unset_keepalive_if_required()
        if self._head is not None:
            self._head += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._head is not None and self._head > MAX_HEAD:
            self.send_400_response("The head of the request is too large.")

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as told:
            # the parser takes the body for another protocol: begin with it anew
            kept = (b"content-length", b"transfer-encoding")
            framing = [b"%s: %s\r\n" % pair for pair in self.headers if pair[0] in kept]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(framing))
            self._feed(data[told.args[0] :])

    def on_message_begin(self) -> None:
        """See ``httptools``."""
        if self._again:
            return
        if len(self.pipeline) >= PIPELINED:
            raise _Refused("too many requests at once")
        self._size, self._since = 0, self.loop.time()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """See ``httptools``."""
        if self._again:
            return
        self._size += len(url)
        if self._size > MAX_HEAD:
            raise _Refused("the head is too large")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See ``httptools``."""
        if self._again or self._head is None:
            return  # headers after the body change nothing
        self._size += len(name) + len(value) + 4
        if self._size > MAX_HEAD:
            raise _Refused("the head is too large")
        if name.lower() == b"transfer-encoding" and value.lower() != b"chunked":
            raise _Refused("an encoding of the transfer that is not known")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """See ``httptools``."""
        if self._again:
            self._again = False
            return
        version, method = self.parser.get_http_version(), self.parser.get_method()
        if version not in ("1.0", "1.1") or method == b"CONNECT":
            raise _Refused("a version or a tunnel that there is not")
        self._head = self._since = None
        self._again = self.parser.should_upgrade()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """See ``httptools``."""
        if self._again:
            return
        self._head = 0
        super().on_message_complete()

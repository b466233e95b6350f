"""Connections to the server behind a proxy: one request at a time, answers part by part.

llhttp (``httptools``) parses what comes; head and body go out in one packet where they fit.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

import httptools

__all__ = ["Connection", "Free", "Headers", "Lost"]

CONNECT: Final = 5.0
"""Seconds for a connection to be made."""

STILL: Final = 60.0
"""Seconds in which a part has to come or go, so a stream may last."""

HELD: Final = 256 * 1024
"""Bytes of an answer that wait for whoever asked; then nothing more is read."""

KEPT: Final = 4.0
"""Seconds for which an idle connection is kept: less than the five of common servers."""

MOST_IDLE: Final = 256
MAX_HEAD: Final = 256 * 1024
BODILESS: Final = (204, 304)

Headers = list[tuple[bytes, bytes]]


class Lost(Exception):  # noqa: N818 - the server's doing
    """The server cannot be reached, breaks off, or does not speak HTTP/1.1."""


class Connection(asyncio.Protocol):
    """One connection, made by ``Free``.

    Attributes:
        status: of the answer under way; 0 before its head is there.
        headers: of the answer under way.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._parts: deque[bytes] = deque()
        self._held = self._size = 0
        self._paused = self._bodiless = self._again = self._to_end = False
        self._done = True
        self._lost: Exception | None = None
        self.status = 0
        self.headers: Headers = []
        self._found: Headers = []
        self._since = self._loop.time()

    @property
    def free(self) -> bool:
        """Whether it waits for a request and the server still does, as far as is known."""
        fresh = self._loop.time() - self._since < KEPT
        return self._done and fresh and self._lost is None and not self._transport.is_closing()

    async def ask(
        self, head: bytes, body: AsyncIterator[bytes] | None, *, bodiless: bool = False
    ) -> None:
        """Send a request and wait for the head of its answer.

        Args:
            head: with the empty line at its end.
            body: as it goes over the wire, framing included.
            bodiless: the answer has no body, whatever its head says.

        Raises:
            Lost: nothing came that can be read.
            TimeoutError: nothing came in time.
        """
        self._parser = httptools.HttpResponseParser(self)
        self._bodiless, self._done, self.status, self._size = bodiless, False, 0, 0
        whole = True
        if body is None:
            self._transport.write(head)
        else:
            first = await anext(body, b"")
            self._transport.write(head + first)
            async for part in body:
                if self.status or self._lost is not None:
                    whole = False  # it has heard enough
                    break
                self._transport.write(part)
                if self._room is not None:
                    async with asyncio.timeout(STILL):
                        await self._room
        while self.status == 0:
            await self._wait()
        self._again = self._again and whole

    async def parts(self) -> AsyncIterator[bytes]:
        """The body, as it comes.

        Raises:
            Lost: it broke off.
            TimeoutError: nothing came for a while.
        """
        while True:
            while self._parts:
                part = self._parts.popleft()
                self._held -= len(part)
                if self._paused and self._held < HELD:
                    self._paused = False
                    self._transport.resume_reading()
                yield part
            if self._done:
                return
            await self._wait()

    async def _wait(self) -> None:
        if self._lost is not None:
            raise Lost(str(self._lost))
        self._waiter = self._loop.create_future()
        try:
            async with asyncio.timeout(STILL):
                await self._waiter
        finally:
            self._waiter = None

    def release(self) -> bool:
        """End with the answer; True if another request may follow."""
        self._since = self._loop.time()
        if self._done and self._again and self._lost is None:
            return True
        self.close()
        return False

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._lost = self._lost or error
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``; it may be how an answer without a length ends."""
        if self._to_end and not self._done and exc is None:
            self._end()
        self._fail(exc or Lost("the connection was closed"))

    def pause_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        if self._parser is None or self._done:
            self._again = False  # nobody asked
            self.close()
            return
        try:
            if self.status == 0:
                self._size += len(data)
            self._parser.feed_data(data)
            if self.status == 0 and self._size > MAX_HEAD:
                raise Lost("the head of the answer is too large")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, Lost) as error:
            self._again = False
            if not self._done:
                self._fail(error)
                self.close()

    def on_message_begin(self) -> None:
        """See ``httptools``."""
        if self._done:
            raise Lost("more answers than questions")
        self._found = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """See ``httptools``; headers after the body are left out."""
        if self.status == 0:
            self._found.append((name, value))

    def on_headers_complete(self) -> None:
        """See ``httptools``."""
        parser = self._parser
        assert parser is not None  # noqa: S101 - it calls
        status = parser.get_status_code()
        if status == 101 or status > 599:
            raise Lost(f"status {status}")
        if status < 200:
            return
        framed = False
        for name, value in self._found:
            known = name.lower()
            if known == b"transfer-encoding" and value.strip().lower() != b"chunked":
                raise Lost("an encoding of the transfer that is not known")
            framed = framed or known in (b"transfer-encoding", b"content-length")
        self._to_end = not framed
        self._again = parser.should_keep_alive()
        self.status, self.headers = status, self._found
        if self._bodiless or status in BODILESS:
            self._end()
        self._wake()

    def on_body(self, part: bytes) -> None:
        """See ``httptools``."""
        if self._done:
            self._again = False
            return
        self._parts.append(part)
        self._held += len(part)
        if self._held >= HELD and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """See ``httptools``."""
        if self.status and not self._done:
            self._end()

    def _end(self) -> None:
        self._done = True
        self._wake()


class Free:
    """Connections that wait for a request, the newest used first.

    Args:
        host: of the server.
        port: of it.
        secure: speak TLS.
    """

    def __init__(self, host: str, port: int, *, secure: bool) -> None:
        self._place = host, port
        self._secure = ssl.create_default_context() if secure else None
        self._idle: list[Connection] = []

    async def take(self) -> Connection:
        """A connection that is free, or a new one.

        Raises:
            Lost: the server cannot be reached.
            TimeoutError: it does not answer in time.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.free:
                return connection
            connection.close()
        try:
            async with asyncio.timeout(CONNECT):
                _, made = await asyncio.get_running_loop().create_connection(
                    Connection, *self._place, ssl=self._secure
                )
        except TimeoutError:
            raise
        except OSError as error:
            raise Lost(str(error)) from error
        return made

    def give(self, connection: Connection) -> None:
        """Take a connection back after its answer; the oldest that nobody used are closed."""
        if connection.release():
            self._idle.append(connection)
        while self._idle and (len(self._idle) > MOST_IDLE or not self._idle[0].free):
            self._idle.pop(0).close()

    def close(self) -> None:
        """Close what waits."""
        while self._idle:
            self._idle.pop().close()

"""An answer on its way: passed on as it comes and kept for reading, or held and changed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final

from recsec.serving.api.edge import Send

__all__ = ["MOST", "Answer"]

MOST = 256 * 1024
"""Bytes of a request or an answer that are held, compressed or not."""

WINDOWS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Encodings that can be read, as zlib calls them."""


class Answer:
    """The ``send`` of a watched request.

    Args:
        send: where it goes.
        tag: id of a decision that a header names.

    Attributes:
        change: what becomes of the body of a good answer; None passes it on as it comes. An answer
            that is too large or in an encoding that cannot be read passes as it is.
        status: of the answer; 0 before.
    """

    def __init__(self, send: Send, *, tag: str | None = None) -> None:
        self._send = send
        self._tag = tag
        self._head: Any = None
        self._encoding = ""
        self._size = 0
        self._kept: list[bytes] = []
        self.change: Callable[[bytes], bytes] | None = None
        self.status = 0

    @property
    def good(self) -> bool:
        """Whether it holds a list."""
        return 200 <= self.status < 300

    @property
    def body(self) -> bytes:
        """What was sent, not compressed; empty if it is too large or cannot be read."""
        return self._plain() or b""

    async def __call__(self, message: Any) -> None:
        """See the ASGI specification."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = list(message.get("headers", ()))
            named = [value for name, value in headers if name.lower() == b"content-encoding"]
            self._encoding = b",".join(named).decode("latin-1").strip().lower()
            if self._tag is not None:
                tag = (b"x-recsec-decision", self._tag.encode())
                message = {**message, "headers": [*headers, tag]}
            if self.change is not None and self.good and self._readable:
                self._head = message
                return
        elif message["type"] == "http.response.body":
            part = message.get("body", b"")
            self._size += len(part)
            if self._size <= MOST:
                self._kept.append(part)
            if self._head is not None:
                await self._changed(part, more=bool(message.get("more_body", False)))
                return
        await self._send(message)

    @property
    def _readable(self) -> bool:
        return self._encoding in ("", "identity", *WINDOWS)

    def _plain(self) -> bytes | None:
        if self._size > MOST or not self._readable:
            return None
        body = b"".join(self._kept)
        if self._encoding not in WINDOWS:
            return body
        reader = zlib.decompressobj(wbits=WINDOWS[self._encoding])
        try:
            plain = reader.decompress(body, MOST)
        except zlib.error:
            return None
        return plain if reader.eof else None

    async def _changed(self, part: bytes, *, more: bool) -> None:
        """Hold the answer back until it is whole; one that is too large passes as it is."""
        large = self._size > MOST
        if more and not large:
            return
        head, self._head = self._head, None
        body = b"".join([*self._kept, *([part] if large else [])])
        plain = None if large or self.change is None else self._plain()
        if plain is not None and self.change is not None:
            body = self.change(plain)
            self._kept, self._size, self._encoding = [body], len(body), ""
            old = (b"content-length", b"content-encoding", b"etag", b"content-md5", b"digest")
            others = [pair for pair in head["headers"] if pair[0].lower() not in old]
            size = (b"content-length", str(len(body)).encode())
            head = {**head, "headers": [*others, size]}
        await self._send(head)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

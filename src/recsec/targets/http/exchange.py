"""One request and its response, within one deadline and one size."""

from __future__ import annotations

import asyncio
import threading
import weakref
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Any, Final

import httpx

from recsec.errors import TargetError

__all__ = ["Exchange", "NoResponse", "Response", "decoded"]

THREAD: Final = "recsec-http"
GRACE: Final = 2.0
"""Seconds that closing waits for the connections to be closed."""


class NoResponse(Exception):  # noqa: N818 - a state, not a failure of its own
    """An attempt that ended without a whole response; it may succeed when it is made again."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """What came back, as it came.

    Attributes:
        status: the HTTP status.
        headers: all but the place of a redirect.
        place: where a redirect leads, as it says.
        content: the body, not decoded.
    """

    status: int
    headers: Mapping[str, str]
    place: str = ""
    content: bytes


class _NoCookies(CookieJar):
    """A jar that takes none: an answer depends on the request alone."""

    def extract_cookies(self, *_: Any) -> None:
        """Look at nothing."""


async def _keep_place(response: httpx.Response) -> None:
    """Hide a redirect from httpx, which reads its address even when it is not to follow it."""
    response.extensions["place"] = response.headers.pop("location", "")


class Exchange:
    """Requests over kept connections.

    httpx times each read by itself, so a synchronous client waits for ever on a server that sends
    a byte now and then; its maintainers say to put a deadline around an asynchronous one (httpx
    issue 1450). So a loop in a thread of its own carries the bytes, and the deadline ends a whole
    attempt: name, connection, TLS, headers, interim responses and body. Nothing is decoded,
    no redirect is followed, and no cookie is kept that the caller does not hold.

    Args:
        name: how errors call the server.
        headers: sent with each request.
        timeout: seconds for one attempt.
        max_bytes: largest body, as it comes over the wire.
        connections: how many at a time.
        trust_env: heed the proxies and certificates that the environment names.
        transport: how bytes travel; for tests.
    """

    def __init__(
        self,
        name: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        max_bytes: int,
        connections: int,
        trust_env: bool,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._name = name
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity", **headers},
            timeout=timeout,
            cookies=_NoCookies(),
            follow_redirects=False,
            event_hooks={"response": [_keep_place]},
            trust_env=trust_env,
            limits=httpx.Limits(max_connections=connections),
            transport=transport,
        )
        self._opening = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._close: Callable[[], object] | None = None

    def send(
        self,
        method: str,
        url: httpx.URL,
        *,
        headers: Mapping[str, str] | None = None,
        cookies: httpx.Cookies | None = None,
        whose: str = "",
        **body: Any,
    ) -> Response:
        """Make one attempt; may be called from several threads.

        Args:
            method: the HTTP method.
            url: where.
            headers: further ones.
            cookies: those to send; what the response sets is added. None: none at all.
            whose: how errors call whom is asked; the server by default.
            body: ``json=`` or ``data=`` (a form), if anything.

        Raises:
            NoResponse: no connection, a broken one, or no whole response in time.
            TargetError: the body is larger than allowed.
        """
        with self._opening:
            if self._loop is None:
                self._open()
        assert self._loop is not None  # noqa: S101 - for the type checker
        request = self._client.build_request(method, url, headers=headers, **body)
        if cookies is not None:
            cookies.set_cookie_header(request)
        sent = self._send(request, whose or self._name, cookies)
        return asyncio.run_coroutine_threadsafe(sent, self._loop).result()

    def close(self) -> None:
        """Close the connections; a further ``send`` is a mistake of the caller."""
        if self._close is not None:
            self._close()

    async def _send(
        self, request: httpx.Request, whose: str, cookies: httpx.Cookies | None
    ) -> Response:
        content, size = [], 0
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.send(request, stream=True)
                try:
                    async for part in response.aiter_raw():
                        size += len(part)
                        if size > self._max_bytes:
                            raise TargetError(
                                f"{whose} answered more than {self._max_bytes:,} bytes",
                                hint="if such answers are right, raise max_bytes",
                            )
                        content.append(part)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            raise NoResponse(f"no response within {self._timeout:g} s") from None
        except httpx.HTTPError as error:
            words = f": {error}" if str(error) else ""
            raise NoResponse(f"{type(error).__name__}{words}") from None
        if cookies is not None:
            cookies.extract_cookies(response)
        return Response(
            status=response.status_code,
            headers=response.headers,
            place=response.extensions["place"],
            content=b"".join(content),
        )

    def _open(self) -> None:
        """Start the loop; it ends with ``close``, with this object or with the program."""
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        thread = threading.Thread(
            target=asyncio.run, args=(_carry(self._client, started),), name=THREAD, daemon=True
        )
        thread.start()
        self._loop, ended = started.result()
        self._close = weakref.finalize(self, _end, self._loop, ended, thread)


async def _carry(
    client: httpx.AsyncClient, started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]
) -> None:
    """Live until told to end."""
    ended = asyncio.Event()
    started.set_result((asyncio.get_running_loop(), ended))
    await ended.wait()
    await client.aclose()


def _end(loop: asyncio.AbstractEventLoop, ended: asyncio.Event, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(ended.set)
    if thread is not threading.current_thread():  # where the garbage collector may run
        thread.join(GRACE)


def decoded(response: Response, *, max_bytes: int, whose: str) -> bytes:
    """The body as it was meant: as it is, or out of one gzip, no larger than allowed.

    No encoding was asked for. Some servers compress all the same, so one layer of gzip is read.

    Raises:
        TargetError: another encoding, no whole gzip, or more than ``max_bytes``.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return response.content
    if encoding not in ("gzip", "x-gzip"):
        raise TargetError(
            f"{whose} answered with the content encoding {encoding!r} where none was asked for",
            hint="let it answer without compression",
        )
    reader = zlib.decompressobj(wbits=31)
    try:
        content = reader.decompress(response.content, max_bytes + 1)
    except zlib.error as error:
        raise TargetError(f"{whose} answered what is no gzip: {error}") from None
    if len(content) > max_bytes:
        raise TargetError(
            f"{whose} answered more than {max_bytes:,} bytes in gzip",
            hint="if such answers are right, raise max_bytes",
        )
    if not reader.eof:
        raise TargetError(f"{whose} answered gzip that ends too early")
    return content

"""Who may ask: this machine's browser, from this page; and how much it may send."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LARGEST_BODY", "LocalOnly"]

LARGEST_BODY = 16_384
"""Bytes of a request; a history of 200 items needs a tenth."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class LocalOnly:
    """Refuses what does not come from the page itself.

    A name of another site that was made to resolve to this machine (DNS rebinding) arrives with
    that name as ``Host``. A page of another site that calls this one arrives with its ``Origin``,
    or with ``Sec-Fetch-Site: cross-site``; it may link to the first page and do nothing else.

    Args:
        app: what answers the others.
        port: where the page is.
    """

    def __init__(self, app: ASGIApp, *, port: int) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, send)
            return

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, protected)

    def _refused(self, scope: Scope) -> Any:
        headers = Headers(scope=scope)
        if headers.get("host") not in self.hosts:
            return _no("this page answers to 127.0.0.1 and localhost only", 421)
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "none")
        linked = scope["method"] == "GET" and scope["path"] == "/"
        if origin is not None and origin not in self.origins:
            return _no("other sites may not call this page", 403)
        if site not in ("none", "same-origin") and not linked:
            return _no("other sites may not call this page", 403)
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers:
            return _no("say how long the request is", 411)
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            return _no("the request is too large", 413)
        return None


def _no(why: str, status: int) -> PlainTextResponse:
    return PlainTextResponse(why + "\n", status, headers=HEADERS)

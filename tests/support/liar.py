"""A recommender on loopback that fails and lies on request."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Behavior = Callable[["Handler"], None]


def good_list(history: list[int], k: int) -> list[int]:
    """The ``k`` numbers after the newest item, wrapping at 40."""
    newest = history[-1] if history else 0
    return [(newest + step) % 40 + 1 for step in range(k)]


class Handler(BaseHTTPRequestHandler):
    """Follows the script of its server, one behavior per request, then answers well."""

    protocol_version = "HTTP/1.1"
    server: Liar

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", 0))
        self.body = json.loads(self.rfile.read(size) or "{}")
        self.handle_one()

    do_PUT = do_POST  # noqa: N815

    def do_GET(self) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        history = [int(item) for item in query.get("history", "").split(",") if item]
        self.body = {**query, "history": history, "k": int(query.get("k", 3))}
        self.handle_one()

    def handle_one(self) -> None:
        with self.server.lock:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.server.seen.append((self.command, self.path, headers, self.body))
            behavior = self.server.script.popleft() if self.server.script else self.server.otherwise
        behavior(self)

    def send(
        self, content: bytes, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


class Liar(ThreadingHTTPServer):
    """``with Liar() as server``: runs in a thread; ``script`` says what it does next."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.script: deque[Behavior] = deque()
        self.otherwise: Behavior = good
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/recommend"

    @property
    def histories(self) -> list[tuple[int, ...]]:
        """What it was asked, in order of arrival."""
        return [tuple(body["history"]) for _, _, _, body in self.seen]

    def handle_error(self, *args: Any) -> None:
        """Quiet: connections break on purpose here."""

    def __enter__(self) -> Liar:
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def die(self) -> None:
        """Stop for good: further connections are refused."""
        self.released.set()
        self.shutdown()
        self.server_close()
        self.thread.join()

    def __exit__(self, *args: Any) -> None:
        if self.thread.is_alive():
            self.die()


def good(handler: Handler) -> None:
    answer = good_list(handler.body["history"], handler.body["k"])
    handler.send(json.dumps({"items": answer}).encode())


def answers(document: Any) -> Behavior:
    return lambda handler: handler.send(json.dumps(document).encode())


def raw(content: bytes) -> Behavior:
    return lambda handler: handler.send(content)


def status(code: int, content: bytes = b"", **headers: str) -> Behavior:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.send(content, status=code, headers=named)


def slow(handler: Handler) -> None:
    """No answer until the server dies."""
    handler.server.released.wait(30)
    handler.close_connection = True


def truncated(handler: Handler) -> None:
    handler.send(b'{"items": [1', headers={"content-length": "500"})
    handler.close_connection = True


def reset(handler: Handler) -> None:
    """Close with RST instead of an answer."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    handler.close_connection = True

"""A shop on loopback that knows people: events are posted, then it is asked for a user."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from liar import good_list

Reply = tuple[int, Any]


class Handler(BaseHTTPRequestHandler):
    """Hands a request to its server as method, parts of the path, fields, headers."""

    protocol_version = "HTTP/1.1"
    server: People

    def handle_any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        place = urlsplit(self.path)
        kind = self.headers.get("content-type", "")
        fields = dict(parse_qsl(raw)) if "form" in kind else json.loads(raw or "{}")
        with self.server.lock:
            self.server.seen.append((self.command, self.path, fields))
            status, answer = self.server.reply(
                self.command, place.path.strip("/").split("/"), fields, parse_qsl(place.query), self
            )
        content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in self.server.sets.items():
            self.send_header(name, value)
        self.server.sets = {}
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Quiet."""


class People(ThreadingHTTPServer):
    """``with People() as shop``.

    Attributes:
        leaks: everybody's events go into one history.
        forgets: ``DELETE`` removes the events of a user.
        token: what must be sent, None for nothing; tokens end after ``lives`` requests.
        fails: statuses of the next requests for events, before any works.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.seen: list[tuple[str, str, Any]] = []
        self.events: dict[str, list[int]] = {}
        self.sets: dict[str, str] = {}
        self.leaks = False
        self.forgets = True
        self.token: str | None = None
        self.lives = self.left = 10**9
        self.tokens = 0
        self.fails: list[int] = []
        self.largest = 40

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def reply(
        self, method: str, path: list[str], fields: Any, query: list[tuple[str, str]], one: Handler
    ) -> Reply:
        if path == ["token"]:
            if fields.get("client_secret") != "hush-hush":
                return 401, {"error": f"{fields.get('client_secret')} is no secret"}
            self.tokens += 1
            self.token, self.left = f"token-{self.tokens}", self.lives
            return 200, {"access_token": self.token}
        if self.token is not None:
            self.left -= 1
            if one.headers.get("authorization") != f"Bearer {self.token}" or self.left < 0:
                return 401, {"error": "expired"}
        if path == ["visits"]:  # the service names the visitor, in a body and in a cookie
            name = f"v{len(self.events)}"
            self.events[name] = []
            self.sets = {"set-cookie": f"visit={name}; Path=/"}
            return 200, {"visit": {"id": name}}
        if path[0] == "mine":
            cookie = one.headers.get("cookie", "").removeprefix("visit=")
            path = ["users", cookie, *path[1:]]
            if cookie not in self.events:
                return 404, {"error": "nobody"}
        name = "everybody" if self.leaks else path[1]
        if path[2:] == ["events"]:
            if self.fails:
                return self.fails.pop(0), {"error": "later"}
            told = fields.get("events", [fields])
            self.events.setdefault(name, []).extend(int(event["sku"]) for event in told)
            return 204, None
        if method == "DELETE":
            if self.forgets:
                self.events.pop(name, None)
            return 204, None
        asked = dict(query)
        size = min(int(asked.get("limit", 10)), self.largest)
        begin = int(asked.get("offset", 0)) + (int(asked.get("page", 1)) - 1) * size
        begin = int(asked.get("cursor", begin))
        history = self.events.get(name, [])
        seen = [item for item in good_list(history, 40) if item not in history]
        page = seen[begin : begin + size]
        document: dict[str, Any] = {"results": [{"sku": str(item)} for item in page]}
        if begin + size < len(seen):
            document["next"] = begin + size
        return 200, document

    def handle_error(self, *args: Any) -> None:
        """Quiet."""

    def __enter__(self) -> People:
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *args: Any) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()

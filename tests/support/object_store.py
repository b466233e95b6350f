"""A bucket called ``shop`` on loopback, as far as a client of S3 asks: lists, ranges, refusals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@contextmanager
def object_store(objects: dict[str, bytes]) -> Iterator[str]:
    """Serve objects by key; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: Any) -> None:
            pass

        def answer(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            own = {"Content-Length": len(content), "ETag": '"1"', **headers}
            own["Last-Modified"] = "Mon, 01 Jan 2024 00:00:00 GMT"
            for name, value in own.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked = parse_qs(url.query)
            if not url.path.startswith("/shop"):
                self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            elif "list-type" in asked:
                rows = "".join(
                    f"<Contents><Key>{key}</Key><Size>{len(content)}</Size><ETag>1</ETag>"
                    "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
                    for key, content in sorted(objects.items())
                    if key.startswith(asked["prefix"][0])
                )
                text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}"
                self.answer(200, f"{text}</ListBucketResult>".encode())
            elif (content := objects.get(url.path.removeprefix("/shop/"))) is None:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            else:
                first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
                begin = int(first) if first else max(0, len(content) - int(last))
                end = int(last) + 1 if first and last else len(content)
                part = content[begin:end]
                span = f"bytes {begin}-{begin + len(part) - 1}/{len(content)}"
                self.answer(206, part, Content_Range=span)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    running.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        running.join()
        server.server_close()

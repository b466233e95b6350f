"""How requests and answers travel."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from recsec.serving import wire
from recsec.serving.running import listen


async def mirror(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what arrived."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    names = sorted(name.decode() for name, _ in scope["headers"])
    told = {"method": scope["method"], "body": body.decode(), "headers": names}
    answer = json.dumps(told).encode()
    size = (b"content-length", str(len(answer)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [size]})
    await send({"type": "http.response.body", "body": answer})


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[int, list[int]]]:
    """A port, and of each connection whether its packets go out at once."""
    place, quick = listen("127.0.0.1", 0), []

    class Probe(wire.Wire):
        def connection_made(self, transport: Any) -> None:
            raw = transport.get_extra_info("socket")
            quick.append(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().connection_made(transport)

    config = uvicorn.Config(mirror, http=Probe, log_config=None, lifespan="off", loop="auto")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    thread.start()
    while not server.started:
        time.sleep(0.002)
    yield place.getsockname()[1], quick
    server.should_exit = True
    thread.join()


def say(port: int, *parts: bytes) -> list[tuple[int, dict[str, Any]]]:
    """Status and content of the answers on one connection."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as opened:
        for part in parts:
            opened.sendall(part)
        while more := opened.recv(65536):
            found += more
    out = []
    for answer in found.split(b"HTTP/1.1 ")[1:]:
        head, _, content = answer.partition(b"\r\n\r\n")
        out.append((int(head[:3]), json.loads(content) if content[:1] == b"{" else {}))
    return out


HEAD = b"POST /a HTTP/1.1\r\nHost: a\r\n"
GOOD = HEAD + b"Content-Length: 2\r\n\r\n{}"
LAST = HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"


def test_answers_go_out_at_once(opened: tuple[int, list[int]]) -> None:
    """Without TCP_NODELAY every second answer on a kept connection waits for 40 ms."""
    assert [code for code, _ in say(opened[0], GOOD, LAST)] == [200, 200]
    assert opened[1][0] != 0


@pytest.mark.parametrize("framing", ["length", "chunks", "none"])
def test_a_wish_to_upgrade_costs_no_body(opened: tuple[int, list[int]], framing: str) -> None:
    """As Java's client sends it; the parser alone would drop the body."""
    asked = HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
    sent = {
        "length": [b"Content-Length: 6\r\n\r\nab", b"cdef"],
        "chunks": [b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", b"4\r\ncdef\r\n0\r\n\r\n"],
        "none": [b"\r\n"],
    }[framing]
    first, second = say(opened[0], asked + sent[0], *sent[1:], LAST)
    assert (first[0], first[1]["body"]) == (200, "abcdef" if sent[1:] else "")
    assert "http2-settings" in first[1]["headers"]
    assert (second[0], second[1]["body"]) == (200, "{}")


def test_what_comes_after_a_body_is_no_header(opened: tuple[int, list[int]]) -> None:
    framing = b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailer = b"2\r\n{}\r\n0\r\nX-User: mallory\r\n\r\n"
    [(code, told)] = say(opened[0], HEAD + framing + trailer)
    assert (code, told["headers"]) == (200, ["connection", "host", "transfer-encoding"])


REFUSED = {
    "a head without end": [b"GET / HTTP/1.1\r\nX: ", *[b"y" * 10_000] * 4],
    "a head of many lines": [b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9000 + b"\r\n"],
    "a long path": [b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\n\r\n"],
    "a coding that is not known": [HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    "two framings": [HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "two lengths": [HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"],
    "a tunnel": [b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"],
    "a version": [b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"],
    "a folded header": [b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"],
}


@pytest.mark.hostile(kind="service", what="heads of hostile clients")
@pytest.mark.parametrize("what", REFUSED)
def test_a_head_that_is_not_taken(opened: tuple[int, list[int]], what: str) -> None:
    assert [code for code, _ in say(opened[0], *REFUSED[what])] == [400]


@pytest.mark.hostile(kind="service", what="many requests at once on one connection")
def test_requests_wait_in_bounded_number(opened: tuple[int, list[int]]) -> None:
    codes = [code for code, _ in say(opened[0], GOOD * 20 + LAST)]
    assert codes == [200] * 21
    codes = [code for code, _ in say(opened[0], GOOD * 500)]
    assert 400 in codes
    assert len(codes) <= wire.PIPELINED + 2


@pytest.mark.hostile(kind="service", what="a head that never ends, also after a good request")
@pytest.mark.parametrize("before", [b"", GOOD])
def test_a_slow_head_is_hung_up_on(
    opened: tuple[int, list[int]], monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    monkeypatch.setattr(wire, "HEADERS", 0.05)
    found = b""
    with socket.create_connection(("127.0.0.1", opened[0]), timeout=20) as client:
        client.sendall(before + b"GET / HTTP/1.1\r\n")
        while more := client.recv(65536):
            found += more
    assert found.count(b"HTTP/1.1 200") == bool(before)


def test_an_answer_is_one_packet_and_closing_loses_nothing() -> None:
    sent: list[bytes] = []

    class Cable:
        closed = False

        def write(self, part: bytes) -> None:
            sent.append(part)

        def is_closing(self) -> bool:
            return self.closed

        def close(self) -> None:
            self.closed = True

    async def answer() -> None:
        together = wire.Together(Cable(), asyncio.get_running_loop())  # type: ignore[arg-type]
        together.write(b"head")
        together.write(b"body")
        assert sent == []
        await asyncio.sleep(0)
        assert sent == [b"headbody"]
        together.write(b"last")
        together.close()
        together.write(b"late")
        await asyncio.sleep(0)
        assert sent == [b"headbody", b"last"]

    asyncio.run(answer())

"""What servers send, rightly or not, and what the proxy makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import pytest

from recsec.serving.upstream.connection import MAX_HEAD, Lost
from recsec.serving.upstream.forward import Forward

OK = b"HTTP/1.1 200 OK\r\n"
GOOD = OK + b"Content-Length: 2\r\n\r\nok"


async def passed(
    answers: list[bytes], ask: Callable[[httpx.AsyncClient], Awaitable[object]]
) -> tuple[object, int]:
    """What ``ask`` gets from a server that gives these answers in turn, and its connections."""
    left, writers = list(answers), list[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while left and await reader.read(65536):
            answer = left.pop(0)
            writer.write(answer)
            if b"close" in answer or b"HTTP/1.0" in answer:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    forward = Forward(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base")
    transport = httpx.ASGITransport(app=forward)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            found = await ask(client)
    finally:
        await forward.close()
        server.close()
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    return found, len(writers)


GIVEN = {
    "a length": (GOOD, 200, b"ok"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", 200, b"ok"),
    "until the end": (b"HTTP/1.0 200 OK\r\n\r\nok", 200, b"ok"),
    "until the close": (OK + b"Connection: close\r\n\r\nok", 200, b"ok"),
    "hints first": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + GOOD, 200, b"ok"),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, b""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "a large body": (OK + b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000, 200, b"x" * 900_000),
    "bytes in a header": (OK + b"X-A: \xe9\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
}


@pytest.mark.parametrize("what", GIVEN)
def test_answers_of_all_kinds_pass(what: str) -> None:
    sent, code, body = GIVEN[what]

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.get("/a"), await client.post("/b", content=b"c")]

    (first, second), connections = asyncio.run(passed([sent, GOOD], ask))  # type: ignore[misc]
    assert (first.status_code, first.content) == (code, body)
    assert second.content == b"ok", "the next request is not harmed"
    assert connections == (2 if what.startswith("until") else 1)
    if what == "bytes in a header":
        assert first.headers.raw[0] == (b"X-A", b"\xe9")


def test_a_head_alone_has_no_body_whatever_it_says() -> None:
    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.head("/a"), await client.get("/a")]

    head = OK + b"Content-Length: 2\r\n\r\n"
    (first, second), connections = asyncio.run(passed([head, GOOD], ask))  # type: ignore[misc]
    assert (first.headers["content-length"], second.content, connections) == ("2", b"ok", 1)


WRONG = {
    "nothing": b"Connection: close",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "a head without end": OK + b"X: " + b"y" * (MAX_HEAD + 1),
    "a coding that is not known": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a status beyond": b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.hostile(kind="service", what="answers of an upstream that are none")
@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_answer_is_502(what: str) -> None:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/a", content=b"x")

    answer, _ = asyncio.run(passed([WRONG[what]], ask))
    assert answer.status_code == 502  # type: ignore[attr-defined]


@pytest.mark.hostile(kind="service", what="an answer that breaks off, and one too many")
def test_what_breaks_off_is_not_made_whole_and_more_is_not_taken_for_the_next() -> None:
    async def ask(client: httpx.AsyncClient) -> list[bytes]:
        return [(await client.get(path)).content for path in ("/a", "/b")]

    for cut in (
        OK + b"Connection: close\r\nContent-Length: 9\r\n\r\nok",
        OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n",
    ):
        with pytest.raises(Lost):
            asyncio.run(passed([cut], ask))
    twice = GOOD + OK + b"Content-Length: 4\r\n\r\nevil"
    found, connections = asyncio.run(passed([twice, GOOD], ask))
    assert (found, connections) == ([b"ok", b"ok"], 2)


def test_a_request_that_may_be_repeated_is_repeated_once_on_a_new_connection() -> None:
    """The server closed an idle connection just when it was used again."""

    async def ask(client: httpx.AsyncClient) -> list[int]:
        return [(await client.get("/a")).status_code for _ in range(2)]

    lost = b"close"  # no answer, and the end
    assert asyncio.run(passed([GOOD, lost, GOOD], ask)) == ([200, 200], 2)

    async def post(client: httpx.AsyncClient) -> list[int]:
        return [(await client.post("/a", content=b"x")).status_code for _ in range(2)]

    assert asyncio.run(passed([GOOD, lost, GOOD], post))[0] == [200, 502], "it may have been done"

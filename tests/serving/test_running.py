"""How answers travel."""

from __future__ import annotations

import asyncio
import socket
import threading

import httpx
import uvicorn
from starlette.responses import PlainTextResponse

from recsec.serving import running
from recsec.serving.running import listen


def test_answers_go_out_at_once() -> None:
    """Without TCP_NODELAY every second answer on a kept connection waits for 40 ms."""
    opened = listen("127.0.0.1", 0)
    opened.listen()
    seen: list[int] = []

    class Probe(uvicorn.protocols.http.h11_impl.H11Protocol):  # type: ignore[name-defined]
        def connection_made(self, transport: object) -> None:
            raw = transport.get_extra_info("socket")  # type: ignore[attr-defined]
            seen.append(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().connection_made(transport)

    config = uvicorn.Config(
        PlainTextResponse("x"), http=Probe, log_config=None, lifespan="off", loop="asyncio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    try:
        assert httpx.get(f"http://127.0.0.1:{opened.getsockname()[1]}").text == "x"
    finally:
        server.should_exit = True
        thread.join()
    assert seen[0] != 0


def test_an_answer_is_one_packet_and_closing_loses_nothing() -> None:
    sent: list[bytes] = []

    class Wire:
        closed = False

        def write(self, part: bytes) -> None:
            sent.append(part)

        def is_closing(self) -> bool:
            return self.closed

        def close(self) -> None:
            self.closed = True

    async def answer() -> None:
        together = running._Together(Wire(), asyncio.get_running_loop())  # type: ignore[arg-type]
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

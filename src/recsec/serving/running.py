"""Run an application until SIGTERM: the port opens last, and requests under way are finished."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn

from recsec.errors import ConfigError
from recsec.serving.wire import Wire

if TYPE_CHECKING:
    from recsec.serving.engine import Engine

__all__ = ["json_log", "listen", "run"]

GRACE = 20
"""Seconds for requests under way when the service stops."""


def json_log(stream: Any = None) -> Callable[..., None]:
    """A log of JSON lines on stderr; what is logged holds no account's name, item or secret."""
    logger = structlog.wrap_logger(
        structlog.PrintLogger(stream or sys.stderr),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.BoundLogger,
    ).bind()  # otherwise it is made anew for each line

    def log(event: str, **told: Any) -> None:
        logger.msg(event, **told)

    return log


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, which takes connections only once the server runs.

    Raises:
        ConfigError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named: 40 ms for each answer otherwise
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
    except OSError as error:
        opened.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}",
            hint="give --port another one; 0 takes any that is free",
        ) from error
    return opened


class _Server(uvicorn.Server):
    """Ends with exit code 0 on SIGTERM, and says that it is not ready while it drains.

    Args:
        config: of uvicorn.
        engine: is told that the service drains.
        linger: seconds for which it still answers, not ready, so that a balancer notices.
    """

    def __init__(self, config: uvicorn.Config, engine: Engine, linger: float) -> None:
        super().__init__(config)
        self._engine = engine
        self._linger = linger

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT; unlike uvicorn's, they are not raised again afterwards."""
        kept: dict[int, Any] = {
            number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)
        }
        for number in kept:
            signal.signal(number, self._end)
        kept[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda number, _: self._engine.reload())
        try:
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    def _end(self, number: int, _: FrameType | None) -> None:
        if self._engine.draining:
            self.force_exit = number == signal.SIGINT
            self.should_exit = True
            return
        self._engine.draining = True
        self._engine.log("draining")
        if self._linger <= 0:
            self.should_exit = True
            return
        asyncio.get_running_loop().call_soon_threadsafe(self._wait)

    def _wait(self) -> None:
        asyncio.get_running_loop().call_later(self._linger, setattr, self, "should_exit", True)


def run(
    app: Any,
    engine: Engine,
    socket_: socket.socket,
    *,
    linger: float = 0.0,
    connections: int = 1000,
    own_date: bool = True,
) -> int:
    """Serve until a signal ends it; returns the exit code.

    Args:
        app: the ASGI application; its lifespan starts and drains the engine.
        engine: is told when the service drains.
        socket_: what ``listen`` gave.
        linger: seconds of not being ready before it stops.
        connections: requests at a time; more are refused with 503.
        own_date: add the date to answers; not to those of an upstream, which have their own.
    """
    config = uvicorn.Config(
        app,
        http=Wire,
        loop="auto",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=own_date,
        proxy_headers=False,
        limit_concurrency=connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config, engine, linger)
    try:
        server.run(sockets=[socket_])
    finally:
        socket_.close()
    return 0 if server.started else 3

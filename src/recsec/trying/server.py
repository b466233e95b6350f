"""Serve the page on loopback until somebody ends it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from recsec.errors import UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["listen", "serve"]

LOOPBACK = "127.0.0.1"


def listen(port: int = 0) -> tuple[socket.socket, int]:
    """A socket on loopback and its port; a free one for 0.

    Raises:
        UsageError: the port is taken, or not ours to take.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.bind((LOOPBACK, port))
    except OSError as error:
        opened.close()
        raise UsageError(
            f"port {port} is not free: {(error.strerror or str(error)).lower()}",
            hint="leave --port out: a free one is taken",
        ) from error
    return opened, int(opened.getsockname()[1])


def serve(app: ASGIApp, opened: socket.socket) -> None:
    """Answer until Ctrl-C; what is under way then is broken off."""
    import uvicorn

    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=64,
        timeout_graceful_shutdown=1,
    )
    try:
        uvicorn.Server(config).run(sockets=[opened])
    except KeyboardInterrupt:  # how a person ends it
        return
    finally:
        opened.close()

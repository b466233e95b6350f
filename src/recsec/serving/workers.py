"""Several processes behind one port: started, watched, started again, and ended together."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self

from prometheus_client.multiprocess import mark_process_dead

from recsec.errors import RecsecError, UsageError
from recsec.serving.metrics import SHARED

__all__ = ["Worker", "command", "supervise"]

WORKER = "RECSEC_WORKER"
"""Environment variable by which a process knows that it is a worker, and of what."""

LOOK = 0.1
"""Seconds between two looks at the workers."""

PATIENCE = 60.0
"""Seconds that workers have to end."""

SLOWEST = 10.0
"""Seconds that a worker that ends again and again is waited for at most."""


@dataclass(frozen=True)
class Worker:
    """What a worker was given: the socket, which one it is, and a pipe that tells of the end."""

    socket: socket.socket
    number: int
    lifeline: int

    @classmethod
    def here(cls) -> Self | None:
        """Of this process; None if it is no worker."""
        told = os.environ.pop(WORKER, None)
        if told is None:
            return None
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is a policy to read anew
        opened, number, lifeline = (int(one) for one in told.split(","))
        return cls(socket.socket(fileno=opened), number, lifeline)

    def end_with_parent(self) -> None:
        """Drain when the process is gone that started this one."""

        def wait() -> None:
            os.read(self.lifeline, 1)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, name="recsec-lifeline", daemon=True).start()


@dataclass
class _Place:
    """One worker, and when it may be started again."""

    running: subprocess.Popen[bytes] | None = None
    after: float = 0.0
    delay: float = LOOK


def supervise(
    words: Sequence[str], count: int, opened: socket.socket, log: Callable[..., None]
) -> int:
    """Run workers until SIGTERM or SIGINT; returns the exit code.

    One that is killed or fails is started again, after a time that grows. One that says that its
    configuration or its target does not fit ends all, unless others answer. SIGHUP is passed on.

    Args:
        words: the command line of a worker.
        count: how many.
        opened: the socket on which all of them listen.
        log: see ``Engine``.
    """
    folder = tempfile.mkdtemp(prefix="recsec-metrics-")
    lifeline, held = os.pipe()
    places = [_Place() for _ in range(count)]
    ending: list[int] = []

    def start(number: int) -> subprocess.Popen[bytes]:
        told = f"{opened.fileno()},{number},{lifeline}"
        return subprocess.Popen(  # noqa: S603 - our own command
            words,
            env={**os.environ, WORKER: told, SHARED: folder},
            pass_fds=(opened.fileno(), lifeline),
        )

    def tell(what: int) -> None:
        for place in places:
            if place.running is not None and place.running.poll() is None:
                place.running.send_signal(what)

    def end(what: int, _: FrameType | None) -> None:
        ending.append(what)
        tell(signal.SIGTERM)

    kept: dict[int, Any] = {
        number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)
    }
    kept[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda what, _: tell(what))
    code = 0
    try:
        while not ending:
            for number, place in enumerate(places):
                ended = None if place.running is None else place.running.poll()
                if place.running is not None and ended is None:
                    continue
                if ended is not None and place.running is not None:
                    mark_process_dead(place.running.pid, folder)  # type: ignore[no-untyped-call]
                    log("worker ended", worker=number, code=ended)
                    wrong = ended in (UsageError.exit_code, RecsecError.exit_code)
                    if wrong and not _answers(opened):
                        return ended
                    place.running, place.after = None, time.monotonic() + place.delay
                    place.delay = min(2 * place.delay, SLOWEST)
                if time.monotonic() >= place.after:
                    place.running = start(number)
            time.sleep(LOOK)
    finally:
        tell(signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        for place in places:
            if place.running is None:
                continue
            try:
                code = max(code, abs(place.running.wait(max(0.1, until - time.monotonic()))))
            except subprocess.TimeoutExpired:
                place.running.kill()
                code = max(code, abs(place.running.wait()))
        for number, handler in kept.items():
            signal.signal(number, handler)
        os.close(held)
        os.close(lifeline)
        opened.close()
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _answers(opened: socket.socket) -> bool:
    """Whether any worker has ever listened."""
    return bool(opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def command() -> list[str]:
    """The command line of this process, for a worker."""
    return [sys.executable, "-m", "recsec", *sys.argv[1:]]

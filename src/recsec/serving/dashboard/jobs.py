"""One audit at a time in the background: a process of its own, watched, and ended with Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from recsec.audit.template import template
from recsec.serving.engine import Engine
from recsec.text import visible

__all__ = ["Job", "Jobs"]

TAIL = 2000
"""Bytes of what a job says last that are read."""


@dataclass(frozen=True)
class Job:
    """An audit that was started here.

    Attributes:
        name: of its folder.
        by: who started it.
        begun: seconds since 1970.
        code: with which it ended; None while it runs.
        said: the last line that it said.
        cancelled: whether somebody ended it.
    """

    name: str
    by: str
    begun: float
    code: int | None
    said: str
    cancelled: bool

    @property
    def state(self) -> str:
        """In words."""
        if self.code is None:
            return "stopping" if self.cancelled else "running"
        if self.cancelled:
            return "cancelled"
        words = {0: "finished", 1: "finished, the gate failed", 4: "finished, evidence incomplete"}
        return words.get(self.code, f"failed with exit code {self.code}")


class Jobs:
    """Starts, watches and ends audits.

    Args:
        engine: a job ends when it drains.
        folder: where run directories go.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._job: Job | None = None

    def start(self, by: str) -> bool:
        """Start the plan that ``recsec audit init`` writes; False if a job runs.

        Raises:
            OSError: the folder cannot be written.
        """
        with self._lock:
            if self._running is not None:
                return False
            name = time.strftime("example-%Y%m%d-%H%M%S", time.gmtime())
            plans = self._folder / "plans"
            plans.mkdir(parents=True, exist_ok=True)
            plan, log = plans / f"{name}.toml", plans / f"{name}.log"
            plan.write_text(template(), encoding="utf-8")
            words = ["audit", str(plan), "--out", str(self._folder / name)]
            with log.open("wb") as stderr:
                self._running = subprocess.Popen(  # noqa: S603 - our own command
                    [sys.executable, "-m", "recsec", *words],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
                    start_new_session=True,
                )
            self._job = Job(name, by, self._engine.clock(), None, "starting", cancelled=False)
            watch = threading.Thread(
                target=self._watch, args=(self._running, log), name="recsec-job", daemon=True
            )
            watch.start()
            return True

    def _watch(self, running: subprocess.Popen[bytes], log: Path) -> None:
        code = None
        while code is None:
            if self._engine.draining:
                running.send_signal(signal.SIGINT)
            try:
                code = running.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                code = None
            said = _last(log)
            with self._lock:
                if self._job is not None:
                    self._job = Job(**{**vars(self._job), "code": code, "said": said})
                if code is not None:
                    self._running = None

    def now(self) -> Job | None:
        """The newest job."""
        with self._lock:
            return self._job

    def cancel(self) -> bool:
        """End what runs, as Ctrl-C does: the same command would continue. False if none runs."""
        with self._lock:
            if self._running is None or self._job is None:
                return False
            self._running.send_signal(signal.SIGINT)
            self._job = Job(**{**vars(self._job), "cancelled": True})
            return True


def _last(log: Path) -> str:
    """The last line that a job said."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    return next((visible(line.strip())[:200] for line in reversed(lines) if line.strip()), "")

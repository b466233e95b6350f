"""Attempts again, the rate, and what ``Retry-After`` asks for: the same for every server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol, TypeVar

import numpy as np

from recsec.errors import TargetError

__all__ = ["TRANSIENT", "Patience", "StoppedError", "TransientError", "retry_after"]

T = TypeVar("T")
TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of a server that may answer later."""


class TransientError(Exception):
    """An attempt that may succeed when it is made again."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class StoppedError(Exception):
    """Another question of the same batch failed."""


class Limits(Protocol):
    """What a file says of a server: see ``HttpConfig`` and ``SearchFile``."""

    @property
    def retries(self) -> int:
        """Further attempts after the first."""

    @property
    def backoff(self) -> float:
        """Seconds before the first retry."""

    @property
    def max_wait(self) -> float:
        """Longest wait before a retry, in seconds."""

    @property
    def rate(self) -> float | None:
        """Requests per second."""


def retry_after(text: str) -> float | None:
    """Seconds that a server asks to wait, as a number or as a date; None where it is neither."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


class Patience:
    """Tries again what may succeed then, with exponential backoff and jitter.

    ``Retry-After`` holds back all requests. May be used from several threads.

    Args:
        limits: of the server.
        name: how errors call the server.
        sleep: waits some seconds.
        clock: seconds, monotonic.
        stopped: set where another question failed: no further attempt then.
        kept: what was finished, as errors say that it is not lost.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        name: str,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
        stopped: threading.Event | None = None,
        kept: str = "what was answered is",
    ) -> None:
        self.requests = 0
        """Turns that were waited for."""
        self._limits, self._name, self._kept = limits, name, kept
        self._sleep, self._clock = sleep, clock
        self._stopped = stopped or threading.Event()
        self._jitter = np.random.default_rng()  # timing only: no result depends on it
        self._lock = threading.Lock()
        self._next_start = float("-inf")

    def wait_for_turn(self) -> None:
        """Keep to the rate, and to what a ``Retry-After`` asked for."""
        with self._lock:
            start = max(self._clock(), self._next_start)
            self._next_start = start + (1 / self._limits.rate if self._limits.rate else 0.0)
            self.requests += 1
            wait = start - self._clock()
        if wait > 0:
            self._sleep(wait)

    def patiently(self, work: Callable[[], T], *, to_the_end: bool = False) -> T:
        """The result of ``work``, attempt after attempt.

        Args:
            work: raises ``TransientError`` where it may succeed when it is tried again.
            to_the_end: also where another question failed.

        Raises:
            TargetError: no attempt succeeded, or the server asks for more patience than there is.
        """
        reason, limits = "", self._limits
        for attempt in range(limits.retries + 1):
            if self._stopped.is_set() and not to_the_end:
                break
            try:
                return work()
            except StoppedError:
                break
            except TransientError as problem:
                reason = str(problem)
                if attempt < limits.retries:
                    self._back_off(attempt, problem.retry_after)
        raise TargetError(
            f"{self._name} gave no answer in {limits.retries + 1} attempts: "
            f"{reason or 'stopped by another failure'}",
            hint=f"{self._kept} recorded: run the same command again to continue",
        )

    def _back_off(self, attempt: int, asked: float | None) -> None:
        limits = self._limits
        if asked is not None and asked > limits.max_wait:
            raise TargetError(
                f"{self._name} asks to wait {asked:.0f} s, more than max_wait "
                f"({limits.max_wait:.0f} s)",
                hint=f"{self._kept} recorded: run the same command again later",
            )
        with self._lock:
            jitter = float(self._jitter.uniform(0.5, 1.0))
            if asked is not None:
                self._next_start = max(self._next_start, self._clock() + asked)
        if asked is None:
            self._sleep(min(limits.backoff * 2**attempt * jitter, limits.max_wait))

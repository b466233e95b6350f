"""A clock that is not set back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Steady"]

LITTLE = 5.0
"""Seconds: a clock that is set back by less is followed, as one that is slowed down would be."""


class Steady:
    """Seconds since 1970 as the machine says; when its clock is set back, they go on.

    Decisions would last longer and periods would not end, if time ran twice.

    Args:
        wall: seconds since 1970.
        since: seconds that only grow.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, since: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._since = since
        self._lock = threading.Lock()
        self._at, self._mark = wall(), since()

    def __call__(self) -> float:
        """Now."""
        with self._lock:
            wall, mark = self._wall(), self._since()
            steady = self._at + mark - self._mark
            self._at, self._mark = (wall if wall > steady - LITTLE else steady), mark
            return self._at

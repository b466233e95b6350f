"""Waiting for what another process does: as long as a slow machine needs, not by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["until"]

PATIENCE = 120
"""Seconds after which what did not happen never will."""


def until(true: Callable[[], object], what: str = "it") -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} never happened"
        time.sleep(0.005)

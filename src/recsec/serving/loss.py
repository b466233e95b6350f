"""Which backends of the state cannot be reached, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable

from recsec.serving.state import Decision

__all__ = ["Loss", "closed_until"]

AGAIN = 5.0
"""Seconds after which somebody may ask again who was refused because of a loss."""


class Loss:
    """Since when each backend is lost.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def note(self, backend: str, *, whole: bool) -> bool:
        """Take note of whether a backend answers; True if that is news."""
        known = backend in self._since
        if whole:
            self._since.pop(backend, None)
        else:
            self._since.setdefault(backend, self._clock())
        return known is whole

    def gone(self, grace: float) -> bool:
        """Whether any backend is lost for longer than a time in seconds."""
        if not self._since:
            return False
        return self._clock() - min(self._since.values(), default=self._clock()) > grace


def closed_until(now: float) -> Decision:
    """What refuses everybody while the state is lost; it stands in no ledger."""
    return Decision(
        id="d-backend-loss",
        scope="all",
        subject="",
        rule="on-backend-loss",
        action="block",
        enforced=True,
        at=now,
        until=now + AGAIN,
    )

"""How fast people act: the most events that an account has within a minute, an hour, a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from recsec.types import FloatArray, IntArray

__all__ = ["DAY", "HOTELS", "Pace", "most_within"]

DAY = 86_400.0
"""Seconds."""

WINDOWS = (60.0, 3600.0, DAY)
"""Windows in which events are counted, in seconds."""


def most_within(accounts: IntArray, times: FloatArray, window: float) -> IntArray:
    """The most events that each account had within any ``window`` seconds.

    Args:
        accounts: ``(n,)`` numbers of accounts, 0 to A - 1.
        times: ``(n,)`` seconds, in any order.
        window: seconds, open at its beginning.

    Returns:
        ``(A,)`` counts.

    >>> most_within(np.array([0, 0, 0, 1]), np.array([0.0, 5.0, 61.0, 0.0]), 60)
    array([2, 1])
    """
    order = np.lexsort((times, accounts))
    who, when = accounts[order], times[order] - times.min(initial=0.0)
    far = when + who * (when.max(initial=0.0) + 2 * window)
    counts = np.arange(1, len(far) + 1) - np.searchsorted(far, far - window, side="right")
    most = np.zeros(int(who.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(most, who, counts)
    return most


@dataclass(frozen=True)
class Pace:
    """At most so many events of one account within each window.

    Attributes:
        windows: ``(seconds, events)`` each; all of them hold at once.
    """

    windows: tuple[tuple[float, int], ...]

    @classmethod
    def measured(
        cls,
        accounts: IntArray,
        times: FloatArray,
        *,
        share: float = 0.99,
        windows: Sequence[float] = WINDOWS,
    ) -> Self:
        """The pace that a share of the accounts keeps in each window; together a little fewer do.

        Args:
            accounts: ``(n,)`` numbers of accounts, 0 to A - 1, each with events.
            times: ``(n,)`` seconds of their events.
            share: of the accounts.
            windows: seconds.
        """
        found = []
        for window in windows:
            most = most_within(accounts, times, window)
            found.append((float(window), int(np.quantile(most, share, method="higher"))))
        return cls(tuple(found))

    def kept(self, accounts: IntArray, times: FloatArray) -> np.typing.NDArray[np.bool_]:
        """Which accounts ``(A,)`` never were faster."""
        within = [most_within(accounts, times, window) <= most for window, most in self.windows]
        kept: np.typing.NDArray[np.bool_] = np.logical_and.reduce(within)
        return kept

    def due(self, before: FloatArray, at: float) -> float:
        """When the next event of an account counts: at once, or as soon as the pace allows.

        Args:
            before: ``(m,)`` when its earlier events counted, ascending.
            at: when it acts.
        """
        for window, most in self.windows:
            if len(before) >= most:
                at = max(at, float(before[-most]) + window)
        return at if len(before) == 0 else max(at, float(before[-1]))

    @property
    def memory(self) -> int:
        """How many earlier events ``due`` looks at."""
        return max((most for _, most in self.windows), default=0)

    @property
    def daily(self) -> int:
        """Most events within a day."""
        return min((most for window, most in self.windows if window >= DAY), default=0)


HOTELS = Pace(((60.0, 5), (3600.0, 16), (DAY, 20)))
"""Items that visitors of a hotel search act on: 99 % of 3,297 users keep each of these.

Source: measured by ``benchmarks/theft_cost.py`` on the public sample of the trivago RecSys
Challenge 2019 log (two days); events in a row on one item are one.
"""

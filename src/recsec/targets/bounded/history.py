"""The events of one account, and when each of them counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from recsec.targets.bounded.pace import Pace
from recsec.types import IntArray

__all__ = ["History"]


@dataclass
class History:
    """Newest events of an account (catalog indices), and when each counts (seconds, ascending)."""

    items: list[int] = field(default_factory=list)
    due: list[float] = field(default_factory=list)

    def act(self, item: int, *, at: float, pace: Pace, longest: int) -> float:
        """Add an event, which waits until the pace allows it to count.

        Of more waiting events than the pace allows in its longest window the newest are dropped.

        Args:
            item: catalog index.
            at: when, in seconds.
            pace: how fast events count.
            longest: newest events that are kept beside those that wait.

        Returns:
            When the event counts: ``at``, or later where the account is too fast.
        """
        due = pace.due(np.array(self.due[-pace.memory or None :]), at)
        waiting = sum(when > at for when in reversed(self.due))
        if due > at and waiting >= pace.memory:
            return due
        self.items.append(int(item))
        self.due.append(due)
        over = len(self.items) - max(longest, pace.memory) - waiting
        if over > 0:
            del self.items[:over], self.due[:over]
        return due

    def counted(self, *, at: float, longest: int) -> IntArray:
        """The newest ``longest`` items that count by then, oldest first."""
        counted = int(np.searchsorted(np.array(self.due), at, side="right"))
        return np.array(self.items[max(0, counted - longest) : counted], dtype=np.int64)

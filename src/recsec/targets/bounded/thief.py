"""A thief at a bounded target: an account of its own for every session, and what that costs him."""

from __future__ import annotations

import numpy as np

from recsec.targets.bounded.pace import DAY
from recsec.targets.bounded.target import BoundedTarget
from recsec.types import FloatArray, IntArray

__all__ = ["Sybils"]


class Sybils:
    """Lets attacks that send histories ask a target that takes events.

    A history that is another one and one more item is that session's account acting once more; any
    other needs a new account, which acts all of it. Every account acts as fast as the pace allows,
    from the day on which it is opened.

    Args:
        target: keeps the histories.
    """

    def __init__(self, target: BoundedTarget) -> None:
        self.catalog = target.catalog
        self.chunk = target.chunk
        self.target = target
        self.last: dict[str, float] = {}
        """When each account acted last, in seconds since it was opened."""
        self.events = 0
        self._open: dict[bytes, list[str]] = {}

    def __repr__(self) -> str:
        return f"Sybils({self.target!r})"

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """See ``Target.query``."""
        names = []
        for row in histories:
            items = row[row > 0]
            known = self._open.get(items[:-1].tobytes())
            name = known.pop() if known else f"{account}-{len(self.last)}"
            for item in items[-1:] if known is not None and name in self.last else items:
                self.last[name] = self.target.act(name, int(item), at=self.last.get(name, 0.0))
                self.events += 1
            self._open.setdefault(items.tobytes(), []).append(name)
            if not known:
                self._open.pop(items[:-1].tobytes(), None)
            names.append(name)
        return self.target.look(names, k, at=np.inf)

    @property
    def days(self) -> FloatArray:
        """``(A,)`` days for which each account was needed, the first one whole."""
        return np.floor(np.array(list(self.last.values())) / DAY) + 1

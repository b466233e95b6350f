"""Bound histories: the service keeps each account's history, and takes events only."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from recsec.serving.state import Kept, Store
from recsec.targets.bounded import Pace
from recsec.types import IntArray

__all__ = ["Histories"]


class Histories:
    """Histories in memory, the least recently used written and let go.

    ``flush`` writes what changed; whoever is killed loses what changed since.

    Args:
        store: where they are kept.
        pace: how fast events count; None: at once.
        longest: newest events of an account that are kept.
        most: accounts in memory.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        pace: Pace | None = None,
        *,
        longest: int = 200,
        most: int = 20_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._pace = pace or Pace(())
        self._longest = longest
        self._most = most
        self._clock = clock
        self._here: OrderedDict[str, Kept] = OrderedDict()
        self._changed: set[str] = set()
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def __len__(self) -> int:
        """Accounts in memory."""
        return len(self._here)

    def here(self, account: str) -> bool:
        """Whether an account is in memory: then nothing below waits for the store."""
        return account in self._here

    def act(self, account: str, item: int) -> float:
        """Add an event; returns how many seconds later than now it counts."""
        self._load(account)
        now = self._clock()
        with self._lock:
            kept = self._here.setdefault(account, Kept(first=now))
            due = kept.act(item, at=now, pace=self._pace, longest=self._longest)
            self._here.move_to_end(account)
            self._changed.add(account)
        return max(0.0, due - now)

    def history(self, account: str) -> IntArray:
        """The items that count by now, oldest first; empty for a stranger."""
        self._load(account)
        with self._lock:
            kept = self._here.get(account, Kept())
            return kept.counted(at=self._clock(), longest=self._longest)

    def _load(self, account: str) -> None:
        if account in self._here:
            return
        found = self._store.kept(account)
        with self._lock:
            if found is not None and account not in self._here:
                self._here[account] = found
            for name in list(self._here)[: max(0, len(self._here) - self._most)]:
                if name not in self._changed and name != account:
                    del self._here[name]

    def flush(self) -> int:
        """Write what changed; returns how many accounts that were.

        Raises:
            OSError: the disk is full; what changed stays in memory and is written next time.
        """
        with self._writing:
            with self._lock:
                changed = {
                    name: Kept(list(kept.items), list(kept.due), kept.first)
                    for name in self._changed
                    if (kept := self._here.get(name)) is not None
                }
                self._changed.clear()
            try:
                self._store.keep(changed)
            except BaseException:
                with self._lock:
                    self._changed |= changed.keys()
                raise
            return len(changed)

"""Bound histories in Redis, for several processes: one atomic step per event."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from redis import Redis, RedisError

from recsec.serving.live.client import PATIENCE
from recsec.serving.state import Kept, StateLost, Store
from recsec.targets.bounded import Pace
from recsec.types import IntArray

__all__ = ["SharedHistories"]

STEP = (Path(__file__).parent / "act.lua").read_text(encoding="utf-8")

LASTS = 90 * 86_400
"""Seconds for which a history is kept after its last event or look."""

HERE = 20_000
"""Histories of which a process remembers what it saw last, for when Redis is lost."""


class SharedHistories:
    """See ``Histories``: what one process keeps in memory and a store, several keep in Redis.

    A history holds its newest events, some 30 bytes each, and ends by itself. One that Redis does
    not know begins with what the store has: what a single process has kept. While Redis is lost,
    histories are those that this process saw last, and events are refused.

    Args:
        redis: the client.
        prefix: of all keys.
        store: where a single process kept histories.
        pace: how fast events count; None: at once.
        longest: newest events of an account that are kept.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        store: Store,
        pace: Pace | None = None,
        *,
        longest: int = 200,
        clock: Callable[[], float],
    ) -> None:
        self._step: Any = redis.register_script(STEP)
        self._prefix = f"recsec:{{{prefix}}}:history"
        self._store = store
        self._pace = pace or Pace(())
        self._longest = longest
        self._clock = clock
        self._seen: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._again = 0.0

    def here(self, account: str) -> bool:
        """Whether nothing below waits for another process: never."""
        return False

    def flush(self) -> int:
        """See ``Histories.flush``: nothing waits to be written."""
        return 0

    def act(self, account: str, item: int) -> float:
        """Add an event; returns how many seconds later than now it counts.

        Raises:
            StateLost: Redis does not answer; the event is not kept.
        """
        now = self._clock()
        return max(0.0, self._asked(account, now, str(int(item))) - now)

    def history(self, account: str) -> IntArray:
        """The items that count by now, oldest first; empty for a stranger.

        Raises:
            StateLost: Redis does not answer, and this process never saw the account.
        """
        now = self._clock()
        try:
            self._asked(account, now, "")
        except StateLost:
            if account not in self._seen:
                raise
        return self._seen[account].counted(at=now, longest=self._longest)

    def _asked(self, account: str, now: float, item: str) -> float:
        windows = [one for window in self._pace.windows for one in window]
        words = [repr(now), item, self._longest, self._pace.memory, LASTS]
        words += [len(self._pace.windows), *windows]
        found = self._called(account, words)
        if found is None:
            kept = self._store.kept(account) or Kept()
            told = zip(kept.due, kept.items, strict=True)
            seed = [f"{due!r} {known}" for due, known in told]
            found = self._called(account, [*words, "seed", *seed])
        due, *rows = found or [repr(now).encode()]
        pairs = [row.split() for row in rows]
        with self._lock:
            self._seen[account] = Kept(
                [int(one) for _, one in pairs], [float(at) for at, _ in pairs]
            )
            self._seen.move_to_end(account)
            while len(self._seen) > HERE:
                self._seen.popitem(last=False)
        return float(due)

    def _called(self, account: str, words: Sequence[Any]) -> list[bytes] | None:
        if time.monotonic() < self._again:  # whoever asks meanwhile does not wait for it too
            raise StateLost("Redis did not answer a moment ago")
        try:
            found: list[bytes] | None = self._step(keys=[f"{self._prefix}:{account}"], args=words)
        except RedisError as error:
            self._again = time.monotonic() + PATIENCE
            raise StateLost(f"Redis does not answer: {error}") from error
        return found

"""What is known of one account, as detectors hold it and as bytes."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from recsec.detection import COMBINED, Fitted, Watch
from recsec.detection.state import pack_arrays, unpack_arrays
from recsec.errors import RecsecError
from recsec.serving.live.base import NONE, SHOWN, Asked, Event, Seen, observed

__all__ = ["LARGEST", "Own"]

LARGEST = 256 * 1024
"""Bytes of an account; of a larger one the last queries are let go, and then it begins anew."""

AGAIN = "nothing is to be done: the account begins anew"


@dataclass
class Own:
    """One account in a process.

    Attributes:
        period: in which its evidence began, as text.
        version: of what is shared; 0: nothing is.
        watch: the detectors with this account alone.
        recent: its last queries.
        since: what was counted since the shared state was lost; None: nothing.
        sent: the bytes that were offered when nothing came back; empty: all came back.
        last: its last event.
    """

    period: str
    watch: Watch
    version: int = 0
    recent: deque[Asked] = field(default_factory=lambda: deque(maxlen=SHOWN))
    since: Watch | None = None
    sent: bytes = b""
    last: Event | None = None

    @classmethod
    def opened(cls, fitted: Fitted, period: str, version: int, content: bytes) -> Self:
        """From what is shared; what cannot be read begins anew."""
        own = cls(period, fitted.watch(), version)
        if not content:
            return own
        try:
            unpacked = zlib.decompress(content)
            arrays, facts = unpack_arrays(unpacked, name="an account", hint=AGAIN)
            own.watch = Watch.unpacked(fitted, arrays, facts, name="an account")
            items, before = arrays["recent/items"].astype(np.int64), 0
            told = zip(arrays["recent/at"].tolist(), arrays["recent/rows"].tolist(), strict=True)
            for at, (end, length, kind, rank) in told:
                history, answer = items[before : end - length], items[end - length : end]
                own.recent.append(Asked(at, history, answer, kind, rank))
                before = end
        except (RecsecError, KeyError, ValueError, zlib.error):
            own.watch = fitted.watch()
        return own

    def packed(self) -> bytes:
        """For ``opened``; at most ``LARGEST``."""
        arrays, facts = self.watch.packed()
        for recent in (list(self.recent), []):
            rows = [np.concatenate([one.history, one.answer]) for one in recent]
            arrays["recent/items"] = np.concatenate([NONE, *rows]).astype(np.int32)
            arrays["recent/at"] = np.array([one.at for one in recent], dtype=np.float64)
            ends = np.cumsum([len(row) for row in rows]).tolist()
            told = [
                (end, len(one.answer), one.kind, one.rank)
                for end, one in zip(ends, recent, strict=True)
            ]
            arrays["recent/rows"] = np.array(told, dtype=np.int64).reshape(-1, 4)
            content = zlib.compress(pack_arrays(arrays, facts), 1)
            if len(content) <= LARGEST:
                return content
        self.watch = self.watch.fitted.watch()
        self.recent.clear()
        return self.packed()

    def count(self, found: Sequence[Seen]) -> None:
        """Let the detectors see events of this account, and say what is known after each."""
        events = [seen.event for seen in found]
        told = observed(self.watch, events)
        for seen, (queries, scores, asked) in zip(found, told, strict=True):
            self.recent.append(asked)
            seen.queries, seen.before, seen.scores = queries, max(0, queries - 1), scores
            seen.recent = list(self.recent)
        self.last = events[-1]

    def apart(self, events: Sequence[Event]) -> None:
        """Remember events that are not shared yet."""
        if self.since is None:
            self.since = self.watch.fitted.watch()
        observed(self.since, events)
        self.last = events[-1]

    def merged(self, mine: Own, first: float) -> Seen | None:
        """Add what another holder of the same account counted apart; what is to be judged."""
        if mine.since is None or mine.last is None:
            return None
        name = mine.last.account
        before = max(self.watch.judged(name), mine.watch.judged(name))
        self.watch.merge(mine.since)
        self.recent.extend(list(mine.recent)[-mine.since.seen :])
        self.last = mine.last
        row = self.watch.accounts().row(0, named=True)
        labels = [*self.watch.detectors, COMBINED]
        return Seen(
            mine.last,
            first,
            queries=self.watch.judged(name),
            before=before,
            scores={label: float(row[f"score[{label}]"]) for label in labels},
            recent=list(self.recent),
        )

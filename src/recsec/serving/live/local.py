"""Counting in this process."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from recsec.detection import Fitted, Watch
from recsec.detection.state import pack_names, read_arrays, unpack_names, write_arrays
from recsec.serving.live.base import SHOWN, Asked, Event, Seen, observed
from recsec.serving.live.rates import Rates
from recsec.serving.policy import Policy

__all__ = ["LocalLive"]

AGAIN = "delete that file: evidence begins anew"


class LocalLive:
    """See ``Live``: all accounts of a period in the memory of one process.

    When there are as many accounts as the policy allows, the period ends early.

    Args:
        policy: rates, period, and how many accounts.
        fitted: the detectors; None without.
        clock: seconds since 1970.
    """

    def __init__(
        self, policy: Policy, fitted: Fitted | None, *, clock: Callable[[], float]
    ) -> None:
        self.lost = False
        self._policy = policy
        self._fitted = fitted
        self._clock = clock
        self._rates = Rates(policy)
        self._first: OrderedDict[str, float] = OrderedDict()
        self._recent: dict[str, deque[Asked]] = {}
        self.watch: Watch | None = None
        self._begin(clock())

    def _begin(self, at: float) -> None:
        """Begin a period: evidence so far is dropped."""
        self.watch = None if self._fitted is None else self._fitted.watch()
        self.began = at
        self._recent.clear()

    def anew(self, policy: Policy, fitted: Fitted | None) -> None:
        """See ``Live.anew``."""
        self._policy, self._rates = policy, Rates(policy, self._rates)
        if fitted is not self._fitted:
            self._fitted = fitted
            self._begin(self._clock())

    def __len__(self) -> int:
        """See ``Live.__len__``."""
        return len(self._recent)

    def __contains__(self, account: object) -> bool:
        """See ``Live.__contains__``."""
        return account in self._recent

    def recent(self, account: str) -> list[Asked]:
        """See ``Live.recent``."""
        return list(self._recent.get(account, ()))

    def first(self, account: str) -> float | None:
        """See ``Live.first``."""
        return self._first.get(account)

    def check(self) -> list[Seen]:
        """See ``Live.check``: nothing is shared."""
        return []

    def look(self, events: Sequence[Event]) -> list[Seen]:
        """See ``Live.look``."""
        out: list[Seen] = []
        part: list[Seen] = []
        for event in events:
            first = self._first.setdefault(event.account, event.at)
            if len(self._first) > 2 * self._policy.accounts:
                self._first.popitem(last=False)
            counts = {
                rule.name: self._rates.rate(rule, self._rates.hit(rule, subject, place), event.at)
                for rule, subject, place in self._rates.asked(event, first)
            }
            seen = Seen(event, first, counts)
            out.append(seen)
            if self.watch is None or event.history is None:
                continue
            full = event.account not in self._recent and len(self) >= self._policy.accounts
            if full or over(event.at, self.began, self._policy.period):
                self._watch(part)
                part = []
                self._begin(event.at)
            self._recent.setdefault(event.account, deque(maxlen=SHOWN))
            part.append(seen)
        self._watch(part)
        return out

    def _watch(self, part: Sequence[Seen]) -> None:
        if not part or self.watch is None:
            return
        found = observed(self.watch, [seen.event for seen in part])
        for seen, (queries, scores, asked) in zip(part, found, strict=True):
            recent = self._recent[seen.event.account]
            recent.append(asked)
            seen.queries, seen.before, seen.scores = queries, max(0, queries - 1), scores
            seen.recent = list(recent)

    def save(self, path: Path) -> None:
        """See ``Live.save``."""
        if self.watch is not None:
            self.watch.log = {"began": repr(self.began)}
            arrays, facts = self.watch.packed()
            arrays["first/names"], arrays["first/ends"] = pack_names(list(self._first))
            arrays["first/at"] = np.array(list(self._first.values()), dtype=np.float64)
            write_arrays(path, arrays, facts)

    def restore(self, path: Path) -> None:
        """See ``Live.restore``; what is known of single queries is not kept."""
        if self._fitted is None or not path.exists():
            return
        arrays, facts = read_arrays(path, hint=AGAIN)
        watch = Watch.unpacked(self._fitted, arrays, facts, name=f"the state {path}")
        if "first/at" in arrays:  # an older recsec did not write it
            names = unpack_names(arrays["first/names"], arrays["first/ends"])
            self._first = OrderedDict(zip(names, arrays["first/at"].tolist(), strict=True))
        began = float(watch.log.get("began", "0"))
        if not over(self._clock(), began, self._policy.period):
            self.watch, self.began = watch, began
            for name in watch.names:
                self._recent.setdefault(name, deque(maxlen=SHOWN))


def over(at: float, began: float, period: float) -> bool:
    """Whether a period has ended, or the clock was set back by more than one."""
    return abs(at - began) >= period

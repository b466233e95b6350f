"""Evidence: what detectors and counters say about accounts, and which rules it fulfills."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recsec.detection import COMBINED, Fitted, Watch
from recsec.errors import ConfigError
from recsec.serving.ledger import Ledger
from recsec.serving.policy import Policy, Rule, share
from recsec.serving.state import Decision
from recsec.traffic import REPEATS
from recsec.types import FloatArray, IntArray

__all__ = ["Asked", "Event", "Evidence", "Judged"]

SHOWN = 20
"""Last queries of an account that a decision keeps as its evidence."""

TAIL = 10
"""Newest items of a history that are shown."""

JUDGED = 50_000
"""Newest looks at accounts that are kept; some 10 MB."""

NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Event:
    """One answered request.

    Attributes:
        account: the name under which the account is kept.
        key: id of the key with which it was made; empty without keys.
        at: seconds since 1970.
        history: ``(L,)`` catalog indices, oldest first; None where it is not known.
        answer: ``(K,)`` catalog indices that were served.
    """

    account: str
    key: str
    at: float
    history: IntArray | None = None
    answer: IntArray = field(default_factory=lambda: NONE)


@dataclass(frozen=True, eq=False)
class Asked:
    """A query as it is shown afterwards.

    Attributes:
        at: seconds since 1970.
        history: newest items, catalog indices.
        answer: the list.
        kind: ``STARTS``, ``EXTENDS``, ``REPEATS`` or ``BRANCHES``.
        rank: place of the newest item in the list served before; 0 not listed, -1 no such list.
    """

    at: float
    history: IntArray
    answer: IntArray
    kind: int
    rank: int


@dataclass(frozen=True)
class Judged:
    """A look at an account.

    Attributes:
        account: the name under which it is kept.
        at: seconds since 1970.
        queries: how many there were, repeats left out.
        share: of a rule's level that this look may spend.
        p_values: by detector; those that rules ask for, and ``combined``.
        young: whether the account was.
    """

    account: str
    at: float
    queries: int
    share: float
    p_values: dict[str, float]
    young: bool


class _Rate:
    """Requests of each subject in a sliding window, from counts of two fixed ones."""

    def __init__(self, window: float, most: int) -> None:
        self._window = window
        self._most = most
        self._counts: OrderedDict[str, tuple[int, int, int]] = OrderedDict()

    def hit(self, subject: str, at: float) -> float:
        """Count one; returns how many there are in the window that ends now."""
        now, inside = divmod(at, self._window)
        place, before, count = self._counts.pop(subject, (int(now), 0, 0))
        if now != place:
            before, count = (count if now == place + 1 else 0), 0
        self._counts[subject] = (int(now), before, count + 1)
        if len(self._counts) > self._most:
            self._counts.popitem(last=False)
        return count + 1 + before * (1 - inside / self._window)


class Evidence:
    """Detectors and rates with the state of a stream; one thread at a time.

    Args:
        policy: the rules.
        ledger: takes decisions.
        fitted: the detectors of the policy; None without.
        names: external ids of catalog indices, for what is shown.
        clock: seconds since 1970.
        told: is called with each new decision.

    Raises:
        ConfigError: a rule asks for a detector that is not among the fitted.
    """

    def __init__(
        self,
        policy: Policy,
        ledger: Ledger,
        fitted: Fitted | None,
        *,
        names: Callable[[IntArray], list[Any]],
        clock: Callable[[], float] = time.time,
        told: Callable[[Decision], None] = lambda decision: None,
    ) -> None:
        self.policy = policy
        self._ledger = ledger
        self.fitted = fitted
        self._names = names
        self._clock = clock
        self._told = told
        self._rules = [rule for rule in policy.rules if rule.p_value is not None]
        labels = sorted(fitted.calibrations) if fitted is not None else []
        for rule in self._rules:
            if rule.detector not in labels:
                raise ConfigError(
                    f"the rule {rule.name} asks for the detector {rule.detector}, which "
                    f"{policy.detectors} does not hold",
                    hint=f"one of {', '.join(labels)}",
                )
        self._rates = [
            (rule, _Rate(rule.within or 0.0, policy.accounts))
            for rule in policy.rules
            if rule.more_than is not None
        ]
        self.watch: Watch | None = None
        self._first: OrderedDict[str, float] = OrderedDict()
        self._recent: dict[str, deque[Asked]] = {}
        self.judged: deque[Judged] = deque(maxlen=JUDGED)
        """Looks at accounts, the newest last; they outlive the period."""
        self.anew(clock())

    def anew(self, at: float) -> None:
        """Begin a period: evidence so far is dropped, decisions stay."""
        self.watch = None if self.fitted is None else self.fitted.watch()
        self.began = at
        self._recent.clear()

    def __len__(self) -> int:
        """Accounts with evidence in this period."""
        return len(self._recent)

    def __contains__(self, account: object) -> bool:
        """Whether an account has evidence in this period."""
        return account in self._recent

    def observe(self, events: Sequence[Event]) -> list[Decision]:
        """Take note of requests in the order of answering, and decide.

        What comes out does not depend on how the requests were cut into batches.
        """
        made: list[Decision] = []
        for event in events:
            self._first.setdefault(event.account, event.at)
            if len(self._first) > 2 * self.policy.accounts:
                self._first.popitem(last=False)
            made += self._by_rate(event)
        part: list[Event] = []
        for event in events if self.watch is not None else ():
            if event.history is None:
                continue
            full = event.account not in self._recent and len(self) >= self.policy.accounts
            if full or event.at - self.began >= self.policy.period:
                made += self._by_detectors(part)
                part = []
                self.anew(event.at)
            self._recent.setdefault(event.account, deque(maxlen=SHOWN))
            part.append(event)
        made += self._by_detectors(part)
        for decision in made:
            self._told(decision)
        return made

    def _by_rate(self, event: Event) -> list[Decision]:
        made = []
        for rule, rate in self._rates:
            if rule.scope == "young" and not self._young(event):
                continue
            scope = "account" if rule.scope == "young" else rule.scope
            subject = {"account": event.account, "key": event.key, "all": ""}[scope]
            count = rate.hit(subject, event.at)
            if count > (rule.more_than or 0):
                told = {"requests": round(count, 1), "more_than": rule.more_than}
                made += self._decided(
                    rule, scope, subject, {"rate": told | {"within": rule.within}}
                )
        return made

    def _by_detectors(self, events: Sequence[Event]) -> list[Decision]:
        if not events or self.watch is None or self.fitted is None:
            return []
        histories = [event.history if event.history is not None else NONE for event in events]
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in histories])])
        width = max(len(event.answer) for event in events)
        answers = np.zeros((len(events), width), dtype=np.int64)
        for row, event in enumerate(events):
            answers[row, : len(event.answer)] = event.answer
        items = np.concatenate(histories).astype(np.int64)
        names = [event.account for event in events]
        steps = self.watch.follower.follow(names, items, offsets.astype(np.int64), answers)
        queries, scores = self.watch.observe(steps)
        checkpoints = tuple(
            int(one) for one in self.fitted.calibrations[COMBINED].checkpoints.tolist()
        )
        made = []
        for row, event in enumerate(events):
            asked = Asked(
                event.at,
                histories[row][-TAIL:],
                event.answer,
                int(steps.kind[row]),
                int(steps.rank[row]),
            )
            self._recent[event.account].append(asked)
            spent = share(int(queries[row]), checkpoints) if steps.kind[row] != REPEATS else 0.0
            if spent:
                at = slice(row, row + 1)
                own = {label: values[at] for label, values in scores.items()}
                made += self._review(event, queries[at], own, spent)
        return made

    def _review(
        self, event: Event, queries: IntArray, scores: dict[str, FloatArray], spent: float
    ) -> list[Decision]:
        """Judge an account by all rules about p-values."""
        calibrations = {} if self.fitted is None else self.fitted.calibrations
        found = {
            label: float(calibrations[label].p_values(values, queries)[0])
            for label, values in scores.items()
        }
        kept = {label: found[label] for label in {COMBINED, *(one.detector for one in self._rules)}}
        look = Judged(event.account, event.at, int(queries[0]), spent, kept, self._young(event))
        self.judged.append(look)
        made = []
        for rule in self._rules:
            p_value, level = found[rule.detector], (rule.p_value or 0.0) * spent
            if rule.clear_above is not None and p_value > rule.clear_above:
                self._ledger.clear(rule, event.account, p_value)
            if p_value > level or (rule.scope == "young" and not self._young(event)):
                continue
            shown = {
                "queries": int(queries[0]),
                "p_values": found,
                "scores": {label: float(values[0]) for label, values in scores.items()},
                "detector": rule.detector,
                "threshold": level,
                "level": rule.p_value,
                "share": spent,
                "last": [
                    {"history": self._names(one.history), "list": self._names(one.answer)}
                    for one in self._recent[event.account]
                ],
            }
            made += self._decided(rule, "account", event.account, shown)
        return made

    def _decided(
        self, rule: Rule, scope: str, subject: str, evidence: dict[str, Any]
    ) -> list[Decision]:
        made = self._ledger.decide(rule, scope, subject, evidence)
        return [] if made is None else [made]

    def _young(self, event: Event) -> bool:
        return event.at - self._first.get(event.account, event.at) < self.policy.young

    def recent(self, account: str) -> list[Asked]:
        """Last queries of an account, oldest first."""
        return list(self._recent.get(account, ()))

    def first_seen(self, account: str) -> float | None:
        """When an account was seen first, as far as that is kept."""
        return self._first.get(account)

    def seen_before(self, account: str, at: float) -> None:
        """An account is known from earlier: it is as old as its kept history."""
        self._first[account] = min(at, self._first.get(account, at))

    def save(self, path: Path) -> None:
        """Write the state of the detectors as one file.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        if self.watch is not None:
            self.watch.log = {"began": repr(self.began)}
            self.watch.save(path)

    def restore(self, path: Path) -> None:
        """Go on from ``save``; what is known of single queries is not kept.

        Raises:
            CheckpointError: the file is broken.
            RunError: it belongs to other detectors.
        """
        if self.fitted is None or not path.exists():
            return
        watch = Watch.resume(self.fitted, path)
        began = float(watch.log.get("began", "0"))
        if self._clock() - began < self.policy.period:
            self.watch, self.began = watch, began
            for name in watch.accounts()["id"].to_list():
                self._recent.setdefault(name, deque(maxlen=SHOWN))

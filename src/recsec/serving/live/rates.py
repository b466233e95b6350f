"""Requests of a subject in a sliding window, from counts of two fixed ones."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from recsec.serving.live.base import Event
from recsec.serving.policy import Policy, Rule

__all__ = ["Count", "Rates"]

Count = tuple[int, int, int]
"""Number of a fixed window, requests in the window before it, and in it."""


@dataclass
class _Rate:
    rule: Rule
    counts: OrderedDict[str, Count]


class Rates:
    """Counts of all rules about rates; each remembers a bounded number of subjects.

    Args:
        policy: the rules.
        former: counts go on that these kept of the same rules.
    """

    def __init__(self, policy: Policy, former: Rates | None = None) -> None:
        self._most = policy.accounts
        self._young = policy.young
        old = {} if former is None else {_same(one.rule): one.counts for one in former._all}
        self._all: list[_Rate] = [
            _Rate(rule, old.get(_same(rule), OrderedDict()))
            for rule in policy.rules
            if rule.more_than is not None
        ]

    def asked(self, event: Event, first: float) -> list[tuple[Rule, str, int]]:
        """The rules that count an event, for which subject, and the number of the window.

        A clock that was set back by less than a window counts on in the window before; one that
        was set back further begins anew.
        """
        found = []
        for one in self._all:
            if one.rule.scope == "young" and event.at - first >= self._young:
                continue
            subject = {"key": event.key, "all": ""}.get(one.rule.scope, event.account)
            found.append((one.rule, subject, int(event.at // (one.rule.within or 1.0))))
        return found

    def hit(self, rule: Rule, subject: str, place: int) -> Count:
        """Count one."""
        counts = self._of(rule)
        found = counts.pop(subject, (place, 0, 0))
        count = counts[subject] = moved(found, place)
        if len(counts) > self._most:
            counts.popitem(last=False)
        return count

    def put(self, rule: Rule, subject: str, count: Count) -> None:
        """Take over what others counted."""
        counts = self._of(rule)
        counts.pop(subject, None)
        counts[subject] = count
        if len(counts) > self._most:
            counts.popitem(last=False)

    def _of(self, rule: Rule) -> OrderedDict[str, Count]:
        return next(one.counts for one in self._all if one.rule.name == rule.name)

    @staticmethod
    def rate(rule: Rule, count: Count, at: float) -> float:
        """Requests in the window that ends now."""
        place, before, now = count
        window = rule.within or 1.0
        inside = min(max(at / window - place, 0.0), 1.0)
        return now + before * (1 - inside)


def _same(rule: Rule) -> tuple[object, ...]:
    """Rules that differ in nothing of this count the same."""
    return rule.name, rule.scope, rule.within


def moved(count: Count, place: int, hits: int = 1) -> Count:
    """Counts after more requests in the window with a number; ``step.lua`` does the same.

    >>> moved((7, 3, 4), 8)
    (8, 4, 1)
    >>> moved((7, 3, 4), 6)
    (7, 4, 4)
    """
    there, before, now = count
    if place == there + 1:
        return place, now, hits
    if place == there:
        return there, before, now + hits
    if place == there - 1:
        return there, before + hits, now
    return place, 0, hits

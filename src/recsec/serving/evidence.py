"""Evidence: what detectors and counters say about accounts, and which rules it fulfills."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from recsec.detection import COMBINED, Fitted, Watch
from recsec.errors import ConfigError
from recsec.serving.ledger import Ledger
from recsec.serving.live import NONE, Asked, Event, Live, LocalLive, Seen
from recsec.serving.looks import Judged, read_looks, write_looks
from recsec.serving.policy import Policy, Rule, share
from recsec.serving.state import Decision
from recsec.serving.together import LOOKS, Linked, Young, cannot_link, cannot_pool
from recsec.types import IntArray

__all__ = ["NONE", "Asked", "Event", "Evidence", "Judged"]

JUDGED = 50_000
"""Newest looks at accounts that are kept; some 10 MB."""

LOOKED = "looks.safetensors"


MEMBERS = 50
"""Accounts of a cluster that a decision names."""


class Evidence:
    """Judges what is counted; one thread at a time.

    Args:
        policy: the rules.
        ledger: takes decisions.
        fitted: the detectors of the policy; None without.
        names: external ids of catalog indices, for what is shown.
        clock: seconds since 1970.
        told: is called with each new decision.
        live: counts; by default in this process.

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
        live: Live | None = None,
    ) -> None:
        check_rules(policy, fitted)
        self.policy = policy
        self._ledger = ledger
        self.fitted = fitted
        self._names = names
        self._told = told
        self.judged: deque[Judged] = deque(maxlen=JUDGED)
        """Looks at accounts, the newest last; they outlive the period."""
        self.live: Live = LocalLive(policy, fitted, clock=clock) if live is None else live
        self.young = Young(policy, fitted)
        self.linked = Linked(policy, fitted)
        ledger.first_seen = self.live.first

    @property
    def watch(self) -> Watch | None:
        """The detectors with all accounts, where they are in this process."""
        return self.live.watch if isinstance(self.live, LocalLive) else None

    def anew(self, policy: Policy, fitted: Fitted | None) -> None:
        """Go on under another policy; with other detectors, evidence begins anew.

        Raises:
            ConfigError: a rule asks for a detector that is not among the fitted.
        """
        check_rules(policy, fitted)
        self.live.anew(policy, fitted)
        self.young.anew(policy, fitted)
        self.linked.anew(policy, fitted)
        self.policy, self.fitted = policy, fitted

    def __len__(self) -> int:
        """Accounts with evidence in this period."""
        return len(self.live)

    def __contains__(self, account: object) -> bool:
        """Whether an account has evidence in this period, as far as this process knows."""
        return account in self.live

    @property
    def began(self) -> float:
        """When the period began."""
        return self.live.began

    def recent(self, account: str) -> list[Asked]:
        """Last queries of an account, oldest first, as far as this process knows."""
        return self.live.recent(account)

    def first_seen(self, account: str) -> float | None:
        """When an account was seen first, as far as that is kept."""
        return self.live.first(account)

    def observe(self, events: Sequence[Event]) -> list[Decision]:
        """Take note of requests in the order of answering, and decide.

        What comes out does not depend on how the requests were cut into batches.
        """
        return self._judged(self.live.look(events))

    def check(self) -> list[Decision]:
        """Reach for what was lost, and judge what was counted meanwhile."""
        return self._judged(self.live.check())

    def _judged(self, found: Sequence[Seen]) -> list[Decision]:
        made: list[Decision] = []
        for seen in found:
            made += self._by_rate(seen)
            made += self._by_detectors(seen)
            made += self._by_pool(seen)
            made += self._by_clusters(seen)
        for decision in made:
            self._told(decision)
        return made

    def _by_rate(self, seen: Seen) -> list[Decision]:
        made = []
        for rule in self.policy.rules:
            count = seen.counts.get(rule.name, 0.0)
            if rule.more_than is None or count <= rule.more_than:
                continue
            scope = "account" if rule.scope == "young" else rule.scope
            event = seen.event
            subject = {"account": event.account, "key": event.key, "all": ""}[scope]
            told = {"requests": round(count, 1), "more_than": rule.more_than}
            evidence = {"rate": told | {"within": rule.within}}
            made.append(self._ledger.decide(rule, scope, subject, evidence))
        return [one for one in made if one is not None]

    def _by_detectors(self, seen: Seen) -> list[Decision]:
        """Judge an account by all rules about p-values, if it has come to a checkpoint."""
        if self.fitted is None or not seen.queries:
            return []
        calibrations = self.fitted.calibrations
        checkpoints = tuple(int(one) for one in calibrations[COMBINED].checkpoints.tolist())
        looks = range(seen.before + 1, seen.queries + 1)
        spent = sum(share(queries, checkpoints) for queries in looks)
        if not spent:
            return []
        queries = np.array([seen.queries])
        found = {
            label: float(calibrations[label].p_values(np.array([score]), queries)[0])
            for label, score in seen.scores.items()
        }
        made, account = [], seen.event.account
        young = seen.event.at - seen.first < self.policy.young
        wanted = {COMBINED, *(rule.detector for rule in self.policy.rules if rule.alone)}
        kept = {label: found[label] for label in wanted}
        self.judged.append(Judged(account, seen.event.at, seen.queries, spent, kept, young))
        for rule in self.policy.rules:
            if rule.p_value is None or not rule.alone:
                continue
            p_value, level = found[rule.detector], rule.p_value * spent
            if rule.clear_above is not None and p_value > rule.clear_above:
                self._ledger.clear(rule, "account", account, p_value)
            if p_value > level or (rule.scope == "young" and not young):
                continue
            shown = {
                "queries": seen.queries,
                "p_values": found,
                "scores": dict(seen.scores),
                "detector": rule.detector,
                "threshold": level,
                "level": rule.p_value,
                "share": spent,
                "last": [
                    {"history": self._names(one.history), "list": self._names(one.answer)}
                    for one in seen.recent
                ],
            }
            made.append(self._ledger.decide(rule, "account", account, shown))
        return [one for one in made if one is not None]

    def _rules(self, evidence: str) -> list[tuple[Rule, float]]:
        """Rules about accounts together, and what each may spend on a look."""
        return [
            (rule, rule.p_value / LOOKS)
            for rule in self.policy.rules
            if rule.p_value is not None and rule.evidence == evidence
        ]

    def _by_pool(self, seen: Seen) -> list[Decision]:
        """Judge the young accounts together, if it is time."""
        look = self.young.take(seen)
        if look is None:
            return []
        made, p_value = [], look.found.p_value
        for rule, level in self._rules("pooled"):
            if rule.clear_above is not None and p_value > rule.clear_above:
                self._ledger.clear(rule, "young", "", p_value)
            if p_value <= level:
                told = {**_spent(rule, level), "furthest": list(look.names), **asdict(look.found)}
                shown = {"detector": "pooled", "pooled": {"queries": look.queries, **told}}
                made.append(self._ledger.decide(rule, "young", "", shown))
        return [one for one in made if one is not None]

    def _by_clusters(self, seen: Seen) -> list[Decision]:
        """Judge accounts that ask alike, if it is time."""
        look = self.linked.take(seen)
        if look is None:
            return []
        made = []
        for rule, level in self._rules("cluster"):
            for found in look.clusters:
                for name in found.names:
                    if rule.clear_above is not None and found.p_value > rule.clear_above:
                        self._ledger.clear(rule, "account", name, found.p_value)
                    if found.p_value <= level:
                        told = {
                            **_spent(rule, level),
                            "p_value": found.p_value,
                            "accounts": len(found.names),
                            "odd": found.odd,
                            "compared": look.accounts,
                            "names": list(found.names[:MEMBERS]),
                        }
                        shown = {"detector": "cluster", "cluster": told}
                        made.append(self._ledger.decide(rule, "account", name, shown))
        return [one for one in made if one is not None]

    def save(self, path: Path) -> None:
        """See ``Live.save``; looks stand in a file beside it."""
        self.live.save(path)
        if self.fitted is not None:
            write_looks(path.with_name(LOOKED), list(self.judged))

    def restore(self, path: Path) -> None:
        """See ``Live.restore``."""
        self.live.restore(path)
        self.judged.extend(read_looks(path.with_name(LOOKED)))


def _spent(rule: Rule, level: float) -> dict[str, Any]:
    """What a look may spend of a rule's level."""
    return {"threshold": level, "level": rule.p_value, "share": 1 / LOOKS}


def check_rules(policy: Policy, fitted: Fitted | None) -> None:
    """Refuse a policy that asks for detectors that are not fitted.

    Raises:
        ConfigError: the rule is named.
    """
    labels = sorted(fitted.calibrations) if fitted is not None else []
    for rule in policy.rules:
        tests = {"pooled": cannot_pool, "cluster": cannot_link}
        why = tests[rule.evidence](fitted) if rule.evidence in tests else None
        if why is not None:
            raise ConfigError(
                f"the rule {rule.name} cannot judge accounts together: {why}",
                hint="run the command recsec detect fit that made the folder again, into another",
            )
        if rule.alone and rule.detector not in labels:
            raise ConfigError(
                f"the rule {rule.name} asks for the detector {rule.detector}, which "
                f"{policy.detectors} does not hold",
                hint=f"one of {', '.join(labels)}",
            )

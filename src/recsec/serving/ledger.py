"""The ledger: which decisions hold, what they do to a request, and how new ones are made."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from recsec.serving.policy import ACTIONS, Policy, Rule
from recsec.serving.state import Allowed, Decision, StateLost, Store

__all__ = ["FREE", "Ledger", "Treatment"]

FORGET = 3600.0
"""Seconds between two sweeps of what has ended."""


@dataclass(frozen=True)
class Treatment:
    """What holds for a request.

    Attributes:
        enforced: the hardest decision that acts; None: the request is free.
        shadow: the hardest decision that would act if it were enforced.
    """

    enforced: Decision | None = None
    shadow: Decision | None = None

    @property
    def action(self) -> str:
        """What is done to the request."""
        return "observe" if self.enforced is None else self.enforced.action


FREE = Treatment()


class Ledger:
    """Decisions in force, in memory; every change goes to the store first.

    Args:
        store: where decisions are kept.
        policy: the rules.
        clock: seconds since 1970; a replay brings its own.
    """

    def __init__(
        self, store: Store, policy: Policy, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._policy = policy
        self._acting = _acting(policy)
        self._store = store
        self._clock = clock
        self._lock = threading.RLock()
        self._active: dict[tuple[str, str], dict[tuple[str, bool], Decision]] = {}
        self._allowed: dict[str, Allowed] = {}
        self._unwritten: list[Decision] = []
        self.revision = -1
        """Of the store, as far as this process has read it."""
        self.first_seen: Callable[[str], float | None] = lambda account: None
        """When an account was seen first; None where that is not known."""
        self._swept = clock()
        self.reload()

    @property
    def policy(self) -> Policy:
        """The rules. Under other ones, what a rule decided acts if that rule does now."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._policy, self._acting = policy, _acting(policy)

    def reload(self) -> bool:
        """Take over what another process changed; True if something did."""
        with self._lock:
            revision = self._store.revision()
            if revision == self.revision:
                return False
            now = self._clock()
            first = self.revision < 0
            changed = self._store.decisions(since=self.revision, active_at=now if first else None)
            for decision in changed:
                self._place(decision, now)
            self._allowed = {one.account: one for one in self._store.allowed()}
            self.revision = revision
            return True

    def _place(self, decision: Decision, now: float) -> None:
        rules = self._active.setdefault((decision.scope, decision.subject), {})
        place = decision.rule, decision.enforced
        if decision.active(now):
            rules[place] = decision
        elif place in rules and rules[place].id == decision.id:
            del rules[place]
        if not rules:
            del self._active[decision.scope, decision.subject]

    def __len__(self) -> int:
        """How many decisions hold, those that ended since the last sweep included."""
        return sum(map(len, list(self._active.values())))

    def active(self) -> list[Decision]:
        """The decisions that hold."""
        with self._lock:
            now = self._clock()
            kept = [one for rules in self._active.values() for one in rules.values()]
        return sorted((one for one in kept if one.active(now)), key=lambda one: one.at)

    def allows(self, account: str) -> bool:
        """Whether an account is on the allow list."""
        found = self._allowed.get(account)
        return found is not None and (found.until is None or self._clock() < found.until)

    def treatment(self, account: str, key: str = "") -> Treatment:
        """What holds for a request of an account, made with a key."""
        if not self._active or self.allows(account):
            return FREE
        now = self._clock()
        enforced = shadow = None
        places = [("account", account), ("key", key), ("all", "")]
        if ("young", "") in self._active and self._young(account, now):
            places.append(("young", ""))
        for place in places:
            for decision in list(self._active.get(place, {}).values()):
                if not decision.active(now):
                    continue
                if decision.enforced and self._acting.get(decision.rule, True):
                    enforced = _harder(enforced, decision)
                else:
                    shadow = _harder(shadow, decision)
        return Treatment(enforced, shadow) if enforced or shadow else FREE

    def _young(self, account: str, now: float) -> bool:
        """Whether an account is young; of one that was never seen, that is not known."""
        first = self.first_seen(account)
        return first is not None and now - first < self._policy.young

    def decide(
        self, rule: Rule, scope: str, subject: str, evidence: Mapping[str, Any]
    ) -> Decision | None:
        """Make a decision, unless that rule's last one about the same subject still holds.

        Returns:
            The decision; None if nothing new was decided.
        """
        with self._lock:
            now = self._clock()
            enforced = self.policy.enforced(rule)
            if self._holds(rule, scope, subject, now, enforced=enforced):
                return None
            with suppress(StateLost):
                self.reload()
            if self._holds(rule, scope, subject, now, enforced=enforced):
                return None  # another process has decided
            if scope == "account" and self.allows(subject):
                return None
            former = self._former(rule, scope, subject, enforced=enforced)
            lasts = min(rule.duration * rule.growth**former, rule.longest)
            id = f"d-{secrets.token_hex(8)}"
            parameters: dict[str, dict[str, Any]] = {
                "watermark": {"bias": rule.bias},
                "slow": {"delay": rule.delay},
                "shorten": {"length": rule.length},
                "challenge": {"address": (rule.challenge or "").replace("{id}", id)},
            }
            decision = Decision(
                id=id,
                scope=scope,
                subject=subject,
                rule=rule.name,
                action=rule.action,
                enforced=enforced,
                at=now,
                until=now + lasts,
                number=former + 1,
                parameters=parameters.get(rule.action, {}),
                evidence=evidence,
            )
            self._unwritten.append(decision)
            self._place(decision, now)
            self.write()
            if now - self._swept > FORGET:
                self._sweep(now)
            kept = self._active.get((scope, subject), {}).get((rule.name, enforced))
            return decision if kept is not None and kept.id == decision.id else None

    def _holds(self, rule: Rule, scope: str, subject: str, now: float, *, enforced: bool) -> bool:
        found = self._active.get((scope, subject), {}).get((rule.name, enforced))
        return found is not None and found.active(now)

    def _former(self, rule: Rule, scope: str, subject: str, *, enforced: bool) -> int:
        """How many decisions of a rule there were about somebody; those taken back don't count."""
        try:
            found = self._store.about(subject, rule=rule.name)
        except StateLost:
            return 0
        return sum(
            one.enforced == enforced and one.scope == scope and one.lifted is None for one in found
        )

    def write(self) -> bool:
        """Write decisions that are not on disk yet; False if the store does not answer.

        They hold meanwhile, in this process.
        """
        with self._lock:
            try:
                while self._unwritten:
                    kept = self._store.decide(self._unwritten[0])
                    del self._unwritten[0]
                    self._place(kept, self._clock())
            except StateLost:
                return False
            return True

    def clear(self, rule: Rule, scope: str, subject: str, p_value: float) -> Decision | None:
        """End a decision early because later evidence says otherwise; returns it."""
        with self._lock:
            place = rule.name, self.policy.enforced(rule)
            holding = self._active.get((scope, subject), {}).get(place)
            if holding is None or not holding.active(self._clock()):
                return None
            reason = f"a later p-value is {p_value:.3g}, above clear_above"
            self.lift(holding.id, actor="policy", reason=reason)
            return holding

    def impose(self, decision: Decision, *, actor: str) -> None:
        """Let a decision hold that a person made.

        Raises:
            StateLost: it could not be written; it does not hold.
        """
        with self._lock:
            self._store.decide(decision, actor=actor)
            self.reload()

    def lift(self, id: str, *, actor: str, reason: str) -> bool:
        """End a decision early; False if it does not hold."""
        with self._lock:
            found = self._store.lift(id, at=self._clock(), actor=actor, reason=reason)
            self.reload()
            return found

    def appeal(self, id: str, *, actor: str, reason: str) -> bool:
        """End a decision early and put its account on probation: rules only observe it a while.

        False if the decision does not hold.
        """
        with self._lock:
            decision = self._store.decision(id)
            if decision is None or not self.lift(id, actor=actor, reason=reason):
                return False
            if decision.scope == "account":
                now = self._clock()
                why = f"probation after {id}: {reason}"
                entry = Allowed(decision.subject, now + self.policy.probation, why)
                self._store.allow(entry, at=now, actor=actor)
                self.reload()
            return True

    def passed(self, id: str, account: str | None, *, actor: str, reason: str) -> Allowed | None:
        """Put an account on probation because it passed its challenge.

        Args:
            id: a decision to challenge that holds; one about an account ends.
            account: who, where the decision is about several.
            actor: who says so.
            reason: how.

        Returns:
            What rules keep to; None if there is no such decision, or nobody is named.
        """
        with self._lock:
            found, now = self._store.decision(id), self._clock()
            if found is None or found.action != "challenge" or not found.active(now):
                return None
            who = found.subject if found.scope == "account" else account
            if not who:
                return None
            if found.scope == "account":
                self.lift(id, actor=actor, reason=reason)
            why = f"passed the challenge of {id}: {reason}"
            entry = Allowed(who, now + self.policy.probation, why)
            self._store.allow(entry, at=now, actor=actor)
            self.reload()
            return entry

    def _sweep(self, now: float) -> None:
        self._swept = now
        for place, rules in list(self._active.items()):
            kept = {name: one for name, one in rules.items() if one.active(now)}
            if kept:
                self._active[place] = kept
            else:
                del self._active[place]


def _acting(policy: Policy) -> dict[str, bool]:
    """Of each rule, whether it acts."""
    return {rule.name: policy.enforced(rule) for rule in policy.rules}


def _harder(one: Decision | None, other: Decision) -> Decision:
    if one is None or ACTIONS.index(other.action) > ACTIONS.index(one.action):
        return other
    return one

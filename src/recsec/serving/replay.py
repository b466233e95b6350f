"""What a policy would have done: a log from its beginning, as if all rules were enforced."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recsec.detection import Fitted
from recsec.serving.evidence import Event, Evidence
from recsec.serving.ledger import Ledger
from recsec.serving.policy import Policy
from recsec.serving.state import Decision, SqlStore
from recsec.serving.state.names import Names
from recsec.stats import clopper_pearson
from recsec.traffic import QueryLog
from recsec.types import Progress

__all__ = ["Replayed", "replay"]

DAY = 86_400.0


@dataclass
class Replayed:
    """What would have happened.

    Attributes:
        queries: of the log.
        accounts: of the log.
        days: from the first query to the last, at least 1; None where the log has order only.
        decisions: all of them, accounts by their names in the log.
        reached: by account, its first decision that does more than observe or tag.
        asked: by account, queries in the log.
        refused: by account, queries that a block would have refused.
        before: by account that was reached, queries before.
        thieves: accounts that are known to be thieves.
        pools: of young accounts together: how many looks, the least p-value, what a further look
            would have waited for, or why there was none.
        clusters: the same of accounts that ask alike.
    """

    queries: int
    accounts: int
    days: float | None
    decisions: list[Decision] = field(default_factory=list)
    reached: dict[str, Decision] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    before: dict[str, int] = field(default_factory=dict)
    thieves: frozenset[str] = frozenset()
    pools: dict[str, Any] = field(default_factory=dict)
    clusters: dict[str, Any] = field(default_factory=dict)

    def group(self, *, thieves: bool) -> dict[str, Any]:
        """How one group of accounts fared, with a 95 % interval of the share that was reached."""
        names = [name for name in self.asked if (name in self.thieves) is thieves]
        reached = [name for name in names if name in self.reached]
        interval = clopper_pearson(len(reached), len(names)) if names else None
        paid = [self.before[name] for name in reached]
        return {
            "accounts": len(names),
            "reached": len(reached),
            "share": len(reached) / len(names) if names else None,
            "interval": None if interval is None else [interval.low, interval.high],
            "reached_per_day": None if self.days is None else len(reached) / self.days,
            "queries": sum(self.asked[name] for name in names),
            "queries_refused": sum(self.refused[name] for name in names),
            "queries_before_reached": float(np.median(paid)) if paid else None,
        }

    def to_json(self) -> dict[str, Any]:
        """Counts by rule and by group."""
        rules: dict[str, dict[str, Any]] = {}
        for one in self.decisions:
            told = rules.setdefault(
                one.rule, {"action": one.action, "decisions": 0, "about": set()}
            )
            told["decisions"] += 1
            told["about"].add((one.scope, one.subject))
        return {
            "queries": self.queries,
            "accounts": self.accounts,
            "days": self.days,
            "rules": {name: {**told, "about": len(told["about"])} for name, told in rules.items()},
            "pools": self.pools,
            "clusters": self.clusters,
            "honest": self.group(thieves=False),
            "thieves": self.group(thieves=True) if self.thieves else None,
        }


def replay(
    policy: Policy,
    log: QueryLog,
    fitted: Fitted | None = None,
    *,
    thieves: Collection[str] = (),
    progress: Progress | None = None,
) -> Replayed:
    """Play a log to a policy, every rule enforced.

    A query of an account that is blocked, or challenged, is refused and adds to no evidence but
    rates. Without times, queries are a second apart.

    Args:
        policy: the rules.
        log: what was asked.
        fitted: the detectors of the policy.
        thieves: accounts that are known to be thieves; all others count as honest.
        progress: is told how many queries were played.
    """
    strict = policy.model_copy(
        update={
            "enforce": True,
            "rules": tuple(rule.model_copy(update={"enforce": True}) for rule in policy.rules),
        }
    )
    times = np.arange(len(log), dtype=np.float64) if log.times is None else log.times.astype(float)
    span = float(times[-1] - times[0]) / DAY if len(log) else 0.0
    names = list(log.calls.account)
    out = Replayed(
        queries=len(log),
        accounts=len(set(names)),
        days=None if log.times is None else max(1.0, span),
        thieves=frozenset(thieves),
    )
    now = [float(times[0]) if len(log) else 0.0]
    with tempfile.TemporaryDirectory() as folder:
        store = SqlStore(folder, Names(bytes(32)).trail)
        ledger = Ledger(store, strict, clock=lambda: now[0])
        evidence = Evidence(
            strict, ledger, fitted, names=log.catalog.external, clock=lambda: now[0]
        )
        for block in log.blocks(4096):
            items, offsets = log.histories(block)
            for place, row in enumerate(block.tolist()):
                now[0] = float(times[row])
                history = items[offsets[place] : offsets[place + 1]]
                _play(out, ledger, evidence, names[row], now[0], history, log.calls.answers[row])
            if progress is not None:
                progress("replaying", int(block[-1]) + 1, len(log))
        young, linked = evidence.young, evidence.linked
        least = [one.found.p_value for one in young.looks]
        out.pools = _looks(least, len(young.looks), young.told())
        least = [each.p_value for one in linked.looks for each in one.clusters]
        out.clusters = _looks(least, len(linked.looks), linked.told())
        store.close()
    return out


def _looks(p_values: list[float], looks: int, waiting: str) -> dict[str, Any]:
    return {"looks": looks, "least": min(p_values, default=None), "waiting": waiting}


def _play(
    out: Replayed,
    ledger: Ledger,
    evidence: Evidence,
    account: str,
    at: float,
    history: Any,
    answer: Any,
) -> None:
    out.asked[account] += 1
    treatment = ledger.treatment(account)
    if treatment.action in ("block", "challenge"):
        out.refused[account] += 1
        event = Event(account, "", at)
    else:
        served = answer[answer > 0].astype(np.int64)
        event = Event(account, "", at, history, served)
    acting = treatment.enforced
    if (
        acting is not None
        and acting.action not in ("observe", "tag")
        and account not in out.reached
    ):
        out.reached[account] = acting
        out.before[account] = out.asked[account] - 1
    out.decisions += evidence.observe([event])

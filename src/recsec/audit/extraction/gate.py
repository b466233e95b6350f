"""From the rows of extraction to a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recsec.audit.verdict import ENDS, LEVELS, fails, no_verdict, verdict_on
from recsec.reports import CopyCheck, ExtractionGate, Metric, Row, Verdict

__all__ = ["judge"]

WEAK = ("training", "monotone")
"""Checks without which a low number is the thief's, not the recommender's."""

MANY = 1e6
"""Users that nobody has for an audit."""

WORDS = {
    "lift": "gain in Agr@10 over the floor",
    "agr@1": "Agr@1",
    "agr@10": "Agr@10",
    "rbo": "RBO",
    "hr_ratio": "HR@10 of the copy divided by the target's",
}


def rule(policy: ExtractionGate) -> str:
    """The policy in words."""
    what = f"{ENDS[policy.statistic]} {WORDS.get(policy.metric, policy.metric)}"
    limit = "" if policy.max_calls is None else f" of at most {policy.max_calls:,} calls"
    return (
        f"The risk level is high if in any row{limit} the {what} is at least {policy.high:g}, "
        f"moderate from {policy.moderate:g}, else low; {fails(policy.fail_at)}. Attacks that could "
        "not be measured make the evidence incomplete, a copy that more training makes better "
        "makes it weak."
    )


def _decider(metric: Metric | None, policy: ExtractionGate) -> float | None:
    return None if metric is None else getattr(metric, policy.statistic)


def deciding_row(rows: Sequence[Row], policy: ExtractionGate) -> int | None:
    """The row with the highest deciding number among those that count; None if none has one."""
    values = [
        (_decider(row.metrics.get(policy.metric), policy), -row.calls, -at)
        for at, row in enumerate(rows)
        if policy.max_calls is None or row.calls <= policy.max_calls
    ]
    known = [(value, calls, at) for value, calls, at in values if value is not None]
    return -max(known)[2] if known else None


def _shown(metric: Metric | None) -> str:
    if metric is None or metric.value is None:
        return "not defined"
    if metric.low is None or metric.high is None:
        return f"{metric.value:.2f}"
    return f"{metric.value:.2f} [{metric.low:.2f}, {metric.high:.2f}]"


def _found(row: Row, floor: Metric | None, twin: Metric | None) -> str:
    over = "the leaked histories alone" if "floor" in row.metrics else "popularity"
    text = (
        f"With {row.calls:,} calls and lists of {row.k} the policy {row.policy} copies the target "
        f"to Agr@10 {_shown(row.metrics.get('agr@10'))}, a gain over {over} of "
        f"{_shown(row.metrics.get('lift'))}"
    )
    if floor is not None:
        text += f"; popularity, without a call, reaches {_shown(floor)}"
    if twin is not None:
        text += f", a model trained on the same data by yourself {_shown(twin)}"
    return text + "."


def judge(
    rows: Sequence[Row],
    policy: ExtractionGate,
    *,
    missing: int = 0,
    floor: Metric | None = None,
    twin: Metric | None = None,
    checks: Sequence[CopyCheck] = (),
) -> Verdict:
    """The verdict.

    Args:
        rows: the evidence table.
        policy: thresholds.
        missing: cells that failed or were refused; any makes the evidence incomplete.
        floor: Agr@10 of the zero-call attacker, for the statement.
        twin: Agr@10 of an independent model, for the statement.
        checks: where the thief is weak, a level below high says nothing of the recommender.
    """
    at = deciding_row(rows, policy)
    found = "" if at is None else _found(rows[at], floor, twin)
    if missing or (at is None and not _nothing_to_steal(floor)):
        what = (
            f"{missing} of the attacks could not be measured"
            if missing
            else f"no row that counts has the metric {policy.metric}"
        )
        return no_verdict(what, found, rule=rule(policy), row=at)
    if at is None:
        statement = (
            "The target answers as popularity does, which needs no call: there is nothing to steal."
        )
        return Verdict(level="low", passed=True, rule=rule(policy), statement=statement)
    metric = rows[at].metrics[policy.metric]
    value = _decider(metric, policy) or 0.0
    found += _undecided(metric, policy)
    verdict = verdict_on(value, policy, policy.fail_at, rule=rule(policy), statement=found, row=at)
    weak = [check.evidence for check in checks if check.check in WEAK and check.status == "failed"]
    if weak and verdict.level != LEVELS[-1]:
        why = f"the thief learned less than he could ({'; '.join(weak)})"
        return no_verdict(why, found, rule=rule(policy), row=at, level="weak")
    return verdict


def _undecided(metric: Metric, policy: ExtractionGate) -> str:
    """Whether more users would be needed to tell on which side of a threshold it lies."""
    if metric.low is None or metric.high is None:
        return ""
    across = [f"{x:g}" for x in (policy.moderate, policy.high) if metric.low < x <= metric.high]
    if not across:
        return ""
    needed = max(_needed(metric, x) for x in (policy.moderate, policy.high) if f"{x:g}" in across)
    many = f"it would take about {needed:,.0f}" if needed < MANY else "hardly any number would"
    return (
        f" {metric.n:,} users do not decide whether it is above {' or '.join(across)}: the "
        f"interval reaches across; {many}."
    )


def _needed(metric: Metric, threshold: float) -> float:
    """Users whose interval would end at the threshold: it shrinks with their square root."""
    value, low, high = metric.value, metric.low, metric.high
    if value is None or low is None or high is None or value == threshold:
        return math.inf
    reach = value - low if value > threshold else high - value
    return metric.n * (reach / (value - threshold)) ** 2


def _nothing_to_steal(floor: Metric | None) -> bool:
    return floor is not None and floor.value is not None and floor.value >= 1

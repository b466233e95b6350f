"""From the rows of extraction to a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recsec.audit.verdict import ENDS, LEVELS, fails, no_verdict, to_pass, verdict_on
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
    few = ""
    if policy.fail_at != "never":
        bound = f"below {to_pass(policy, policy.fail_at):g} must lie the upper bound of all as well"
        few = f", and so do too few users: {bound}"
    return (
        f"The risk level is high if in any row{limit} the {what} is at least {policy.high:g}, "
        f"moderate from {policy.moderate:g}, else low; {fails(policy.fail_at)}. Attacks that could "
        "not be measured make the evidence incomplete, a copy that more training makes better "
        f"makes it weak{few}."
    )


def _decider(metric: Metric | None, policy: ExtractionGate) -> float | None:
    return None if metric is None else getattr(metric, policy.statistic)


def _counts(row: Row, policy: ExtractionGate) -> bool:
    return policy.max_calls is None or row.calls <= policy.max_calls


def deciding_row(rows: Sequence[Row], policy: ExtractionGate) -> int | None:
    """The row with the highest deciding number among those that count; None if none has one."""
    values = [
        (_decider(row.metrics.get(policy.metric), policy), -row.calls, -at)
        for at, row in enumerate(rows)
        if _counts(row, policy)
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
    limit = to_pass(policy, policy.fail_at)
    claims = policy.fail_at != "never" and value < limit
    few = _too_few(rows, policy, limit) if claims else []
    found += _undecided(metric, {policy.moderate, policy.high} - ({limit} if few else set()))
    verdict = verdict_on(value, policy, policy.fail_at, rule=rule(policy), statement=found, row=at)
    weak = [check.evidence for check in checks if check.check in WEAK and check.status == "failed"]
    why = [f"the thief learned less than he could ({'; '.join(weak)})"] if weak else []
    why += few
    if why and verdict.level != LEVELS[-1]:
        return no_verdict("; ".join(why), found, rule=rule(policy), row=at, level="weak")
    return verdict


def _too_few(rows: Sequence[Row], policy: ExtractionGate, limit: float) -> list[str]:
    """Why the users do not show that all rows lie below a limit; nothing where they do."""
    metrics = [row.metrics.get(policy.metric) for row in rows if _counts(row, policy)]
    across = [
        one
        for one in metrics
        if one is not None and one.value is not None and (one.high is None or one.high >= limit)
    ]
    if not across:
        return []
    n, needed = min(one.n for one in across), max(_needed(one, limit) for one in across)
    return [
        f"{n:,} users do not show that the {WORDS.get(policy.metric, policy.metric)} is below "
        f"{limit:g}; {_many(needed)} decide, if it stays as it is"
    ]


def _undecided(metric: Metric, limits: set[float]) -> str:
    """Whether more users would be needed to tell on which side of a threshold it lies."""
    if metric.low is None or metric.high is None:
        return ""
    across = sorted(x for x in limits if metric.low < x <= metric.high)
    if not across:
        return ""
    return (
        f" {metric.n:,} users do not decide whether it is above "
        f"{' or '.join(f'{x:g}' for x in across)}: the interval reaches across; "
        f"{_many(max(_needed(metric, x) for x in across))}."
    )


def _many(needed: float) -> str:
    return f"about {needed:,.0f} would" if needed < MANY else "hardly any number would"


def _needed(metric: Metric, threshold: float) -> float:
    """Users whose interval would end at the threshold: it shrinks with their square root."""
    value, low, high = metric.value, metric.low, metric.high
    if value is None or low is None or high is None or value == threshold:
        return math.inf
    reach = value - low if value > threshold else high - value
    return metric.n * (reach / (value - threshold)) ** 2


def _nothing_to_steal(floor: Metric | None) -> bool:
    return floor is not None and floor.value is not None and floor.value >= 1

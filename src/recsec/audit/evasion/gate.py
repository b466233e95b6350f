"""From worst cases to a verdict on evasion."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recsec.attacks.evasion import levels
from recsec.audit.verdict import ENDS, LEVELS, fails, no_verdict, to_pass, verdict_on
from recsec.reports import (
    EvasionGate,
    EvasionPolicy,
    Metric,
    SanityCheck,
    Verdict,
    VisualModel,
    WorstCase,
)
from recsec.stats import wilson_decides

__all__ = ["judge_evasion", "judged_model"]


WEAK = ("reference", "gradients", "works")
"""Checks without which a low rate is the attacks', not the encoder's."""


def judged_model(policy: EvasionPolicy, models: Sequence[VisualModel]) -> str:
    """The model that the verdict is about."""
    return policy.model or models[0].name


def _rule(policy: EvasionGate, model: str) -> str:
    rules = policy.evasion
    return (
        f"Evasion of {model}: the risk level is high if the {ENDS[rules.statistic]} worst-case "
        f"{rules.metric} over all attacks inside the budget, at the largest eps up to "
        f"{rules.eps:g}, is at least {rules.high:g}, moderate from {rules.moderate:g}, else low; "
        f"{fails(policy.fail_at)}. Pairs that could not be measured make the evidence incomplete, "
        "attacks that a plain one beats, that find no gradients or, without any, are not shown to "
        "work make it weak, and so do too few pairs: below "
        f"{to_pass(rules, policy.fail_at):g} must lie the upper bound as well."
    )


def _too_few(metric: Metric, limit: float) -> list[str]:
    """Why the pairs do not show that the rate lies below a limit; nothing where they do."""
    if metric.value is None or (metric.high is not None and metric.high < limit):
        return []
    needed = wilson_decides(metric.value, limit)
    many = "more" if math.isinf(needed) else f"about {needed:,.0f}"
    return [
        f"{metric.n:,} pairs do not show that it is below {limit:g}; {many} would decide, if as "
        "large a share of them succeeds"
    ]


def _shown(metric: Metric) -> str:
    if metric.value is None or metric.low is None or metric.high is None:
        return "not defined"
    return f"{100 * metric.value:.1f} % [{100 * metric.low:.1f}, {100 * metric.high:.1f}]"


def deciding_row(worst: Sequence[WorstCase], policy: EvasionPolicy, model: str) -> int | None:
    """The worst case of the model at the largest budget that counts."""
    rows = [
        (row.eps, at)
        for at, row in enumerate(worst)
        if row.model == model and row.eps <= policy.eps and policy.metric in row.success
    ]
    return max(rows)[1] if rows else None


def _found(row: WorstCase, policy: EvasionPolicy, clean: Metric | None) -> str:
    r = policy.metric.removeprefix("success@")
    text = (
        f"With pixels changed by at most {row.eps:g} of their range ({levels(row.eps)} of 255 "
        f"levels), {_shown(row.success[policy.metric])} of {row.pairs:,} photos enter "
        f"the first {r} neighbors of an item chosen beforehand on {row.model}"
    )
    if clean is not None and clean.value is not None:
        text += f"; unchanged, {_shown(clean)} are there"
    return f"{text}.{_planted(row.success[policy.metric])}"


def _planted(metric: Metric) -> str:
    """The rate as a number of photos."""
    if metric.value is None or metric.low is None or metric.high is None:
        return ""
    value, low, high = (f"{100 * one:.0f}" for one in (metric.value, metric.low, metric.high))
    return f" A seller who changes 100 photos so plants {value} of them ({low} to {high})."


def judge_evasion(
    worst: Sequence[WorstCase],
    policy: EvasionGate,
    model: str,
    *,
    missing: int = 0,
    clean: Metric | None = None,
    checks: Sequence[SanityCheck] = (),
) -> Verdict:
    """The verdict on one model.

    Args:
        worst: per-pair worst cases of all models and budgets.
        policy: thresholds.
        model: name of the model judged.
        missing: pairs of its cells that could not be measured; any makes the evidence incomplete.
        clean: the deciding metric of photos as they are, for the statement.
        checks: where the attacks on the model are weak, a level below high says nothing of it.
    """
    rules = policy.evasion
    rule = _rule(policy, model)
    at = deciding_row(worst, rules, model)
    found = "" if at is None else _found(worst[at], rules, clean)
    if missing or at is None:
        what = (
            f"{missing:,} attacks on pairs could not be measured"
            if missing
            else f"no attack was run with an eps up to {rules.eps:g}"
        )
        return no_verdict(what, found, rule=rule, row=at)
    value = getattr(worst[at].success[rules.metric], rules.statistic) or 0.0
    verdict = verdict_on(value, rules, policy.fail_at, rule=rule, statement=found, row=at)
    weak = [
        check.evidence
        for check in checks
        if check.model == model and check.check in WEAK and check.status == "failed"
    ]
    why = [f"the attacks are weak on this encoder ({'; '.join(weak)})"] if weak else []
    if verdict.passed:
        why += _too_few(worst[at].success[rules.metric], to_pass(rules, policy.fail_at))
    if why and verdict.level != LEVELS[-1]:
        return no_verdict("; ".join(why), found, rule=rule, row=at, level="weak")
    return verdict

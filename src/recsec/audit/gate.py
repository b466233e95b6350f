"""From evidence to a verdict, and from a verdict to an exit code."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from recsec.audit.plan import GatePlan
from recsec.errors import EXIT_GATE_FAILED, EXIT_OK, ConfigError, EvidenceIncomplete
from recsec.reports import GatePolicy, Metric, Row, Verdict

__all__ = ["exit_code", "gate_policy", "judge", "load_gate", "worse"]

WORDS = {
    "lift": "lift of Agr@10 over the floor",
    "agr@1": "Agr@1",
    "agr@10": "Agr@10",
    "rbo": "RBO",
    "hr_ratio": "HR@10 of the copy divided by the target's",
}
ENDS = {"low": "lower bound of the", "value": "point estimate of the", "high": "upper bound of the"}
LEVELS = ("low", "moderate", "high")


def gate_policy(plan: GatePlan, *, source: str = "default") -> GatePolicy:
    """The thresholds as the report states them."""
    return GatePolicy(**plan.model_dump(), source=source)


def load_gate(path: Path | str) -> GatePolicy:
    """Thresholds from a policy file: the keys of ``[gate]``, at the top or in that table.

    Raises:
        ConfigError: the file is missing, is no TOML, or does not fit.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return gate_policy(GatePlan.model_validate(values.get("gate", values)), source=path.name)
    except OSError as error:
        raise ConfigError(f"cannot read the policy {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'policy'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigError(
            f"{path}: {faults}", hint=f"the keys are {', '.join(GatePlan.model_fields)}"
        ) from error


def rule(policy: GatePolicy) -> str:
    """The policy in words."""
    what = f"{ENDS[policy.statistic]} {WORDS.get(policy.metric, policy.metric)}"
    limit = "" if policy.max_calls is None else f" of at most {policy.max_calls:,} calls"
    fails = (
        "the gate never fails"
        if policy.fail_at == "never"
        else f"the gate fails at {policy.fail_at} and above"
    )
    return (
        f"The level is high if in any row{limit} the {what} is at least {policy.high:g}, moderate "
        f"from {policy.moderate:g}, else low; {fails}. Cells that could not be measured make the "
        "evidence incomplete."
    )


def _decider(metric: Metric | None, policy: GatePolicy) -> float | None:
    return None if metric is None else getattr(metric, policy.statistic)


def deciding_row(rows: Sequence[Row], policy: GatePolicy) -> int | None:
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
    text = (
        f"With {row.calls:,} calls at k = {row.k} the policy {row.policy} copies the target to "
        f"Agr@10 {_shown(row.metrics.get('agr@10'))}, lift {_shown(row.metrics.get('lift'))}"
    )
    if floor is not None:
        text += f"; popularity alone reaches {_shown(floor)}"
    if twin is not None:
        text += f", an independent model of the same kind {_shown(twin)}"
    return text + "."


def judge(
    rows: Sequence[Row],
    policy: GatePolicy,
    *,
    missing: int = 0,
    floor: Metric | None = None,
    twin: Metric | None = None,
) -> Verdict:
    """The verdict.

    Args:
        rows: the evidence table.
        policy: thresholds.
        missing: cells that failed or were refused; any makes the evidence incomplete.
        floor: Agr@10 of the zero-call attacker, for the statement.
        twin: Agr@10 of an independent model, for the statement.
    """
    at = deciding_row(rows, policy)
    found = "" if at is None else _found(rows[at], floor, twin)
    if missing or (at is None and not _nothing_to_steal(floor)):
        what = (
            f"{missing} of the cells could not be measured"
            if missing
            else f"no row that counts has the metric {policy.metric}"
        )
        statement = f"There is no verdict: {what}. {found}".strip()
        return Verdict(
            level="incomplete", passed=False, rule=rule(policy), statement=statement, row=at
        )
    if at is None:
        statement = (
            "The target answers as popularity does, which needs no call: there is nothing to steal."
        )
        return Verdict(level="low", passed=True, rule=rule(policy), statement=statement)
    value = _decider(rows[at].metrics[policy.metric], policy) or 0.0
    place = 2 if value >= policy.high else int(value >= policy.moderate)
    limit = LEVELS.index(policy.fail_at) if policy.fail_at != "never" else len(LEVELS)
    return Verdict(
        level=LEVELS[place],  # type: ignore[arg-type]
        passed=place < limit,
        rule=rule(policy),
        statement=found,
        row=at,
    )


def _nothing_to_steal(floor: Metric | None) -> bool:
    return floor is not None and floor.value is not None and floor.value >= 1


def worse(verdicts: Sequence[Verdict]) -> Verdict:
    """Several threats together: the worst level; passed only if every gate is.

    Missing evidence outweighs every level, because what is missing may be worse.
    """
    if len(verdicts) == 1:
        return verdicts[0]
    order = (*LEVELS, "incomplete")
    return Verdict(
        level=max((verdict.level for verdict in verdicts), key=order.index),
        passed=all(verdict.passed for verdict in verdicts),
        rule="The worse of the threats counts; the rule of each stands with its verdict.",
        statement=" ".join(verdict.statement for verdict in verdicts),
    )


def exit_code(verdict: Verdict) -> int:
    """0 passed, 1 failed, 4 evidence incomplete."""
    if verdict.level == "incomplete":
        return EvidenceIncomplete.exit_code
    return EXIT_OK if verdict.passed else EXIT_GATE_FAILED

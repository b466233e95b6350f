"""From evidence to a verdict, as far as all threats do it alike, and to an exit code."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from recsec.audit.plan import gate_class
from recsec.audit.sections import GatePlan
from recsec.audit.verdict import LEVELS
from recsec.errors import EXIT_GATE_FAILED, EXIT_OK, ConfigError, EvidenceIncomplete, TargetError
from recsec.reports import Case, GatePolicy, Verdict, policy_class
from recsec.settings import checked
from recsec.targets import PartialAnswer

__all__ = ["exit_code", "gate_policy", "load_gate", "worse"]


def gate_policy(plan: GatePlan, *, source: str = "default") -> GatePolicy:
    """The thresholds as the report states them."""
    return policy_class()(**plan.model_dump(), source=source)


def load_gate(path: Path | str) -> GatePolicy:
    """Thresholds from a policy file: the keys of ``[gate]``, at the top or in that table.

    Raises:
        ConfigError: the file is missing, is no TOML, or does not fit.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the policy {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    plan = checked(gate_class(), values.get("gate", values), where=str(path))
    return gate_policy(plan, source=path.name)


def worse(verdicts: Sequence[Verdict]) -> Verdict:
    """Several threats together: the worst level; passed only if every gate is.

    Missing evidence outweighs every level, because what is missing may be worse.
    """
    if len(verdicts) == 1:
        return verdicts[0]
    order = (*LEVELS, "weak", "incomplete")
    return Verdict(
        level=max((verdict.level for verdict in verdicts), key=order.index),
        passed=all(verdict.passed for verdict in verdicts),
        rule="The overall level is that of the worst threat; each section below states its rule.",
        statement=" ".join(verdict.statement for verdict in verdicts),
    )


def exit_code(verdict: Verdict, cases: Sequence[Case] = ()) -> int:
    """0 passed, 1 failed, 4 evidence incomplete or weak, 3 where it is the target that failed.

    Args:
        verdict: of the report.
        cases: what was tried; where the target failed in all of them, that is the result.
    """
    if cases and all(_target_failed(case) for case in cases):
        return TargetError.exit_code
    if verdict.level in ("incomplete", "weak"):
        return EvidenceIncomplete.exit_code
    return EXIT_OK if verdict.passed else EXIT_GATE_FAILED


def _target_failed(case: Case) -> bool:
    """Whether the target is why a case has no result; one that declined to answer did not fail."""
    kind = (case.error or "").partition(":")[0]
    return case.status == "error" and kind in (TargetError.__name__, PartialAnswer.__name__)

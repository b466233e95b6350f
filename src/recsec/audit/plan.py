"""What an audit is asked to do: a TOML file, read into frozen models that refuse unknown words.

A plan has the tables of all installed threats; which there are is known when the first one is read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, create_model, model_validator

from recsec.audit.sections import GatePlan, Plan
from recsec.audit.threat import audits
from recsec.errors import ConfigError
from recsec.settings import section_of

__all__ = ["gate_class", "load_plan", "parse_plan", "plan_class", "without_idle"]


@cache
def gate_class() -> type[GatePlan]:
    """The table ``[gate]`` with the thresholds of all installed threats."""
    bases = tuple(audit.gate for audit in audits().values())
    return create_model("GatePlan", __base__=bases, __doc__=GatePlan.__doc__)


class _WholePlan(Plan):
    """A plan that is complete: it has the tables of some threat."""

    @model_validator(mode="after")
    def _some_threat(self) -> _WholePlan:
        if not any(audit.asked(self) for audit in audits().values()):
            subjects = ", ".join(audit.subject for audit in audits().values())
            raise ValueError(f"nothing to attack: give at least one of {subjects}")
        return self

    def evidence(self) -> dict[str, Any]:
        """See ``Plan.evidence``: without what plugins add that are not asked for."""
        return without_idle(self, super().evidence())


def without_idle(plan: Plan, values: dict[str, Any]) -> dict[str, Any]:
    """A plan as JSON without the tables and thresholds of plugins that it does not ask for.

    Who installs a plugin changes no other run.
    """
    kept = dict(values)
    for threat, audit in audits().items():
        if threat.always or audit.asked(plan):
            continue
        for name in set(audit.tables.model_fields) - set(Plan.model_fields):
            kept.pop(name, None)
        thresholds = set(audit.gate.model_fields) - set(GatePlan.model_fields)
        if "gate" in kept:
            gate = kept["gate"].items()
            kept["gate"] = {name: value for name, value in gate if name not in thresholds}
    return kept


@cache
def plan_class() -> type[Plan]:
    """A plan with the tables of all installed threats."""
    bases: tuple[type[Plan], ...] = (*(one.tables for one in audits().values()), _WholePlan)
    gate = gate_class()
    return create_model(
        "Plan", __base__=bases, __doc__=Plan.__doc__, gate=(gate, Field(default_factory=gate))
    )


def parse_plan(values: Mapping[str, Any], *, where: str = "the plan") -> Plan:
    """A plan from plain data.

    Args:
        values: what a TOML file holds.
        where: what to call its source in a message.

    Raises:
        ConfigError: every key that does not fit, and what is allowed there.
    """
    try:
        return plan_class().model_validate(values)
    except ValidationError as error:
        faults = "; ".join(_fault(dict(fault)) for fault in error.errors())
        raise ConfigError(f"{where}: {faults}", hint="recsec audit init shows every key") from error


def load_plan(path: Path | str) -> Plan:
    """Read a plan.

    Raises:
        ConfigError: the file is missing, is no TOML, or does not fit.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the plan {path}: {error.strerror}", hint="recsec audit init writes one"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return parse_plan(values, where=str(path))


def _fault(fault: dict[str, Any]) -> str:
    path = fault["loc"]
    key = ".".join(str(part) for part in path if part != 0) or "plan"
    if fault["type"] == "extra_forbidden":
        allowed = section_of(plan_class(), path).model_fields
        return f"there is no key {key!r}; allowed: {', '.join(allowed)}"
    if fault["type"] == "missing":
        return f"the key {key!r} is missing"
    text = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{key}: {text}"
    return f"{key} = {fault['input']!r}: {text[0].lower()}{text[1:]}"

"""The shape of ``report.json``: what an audit found, and all that a reader needs to judge it.

The HTML page, JUnit and SARIF are made from this alone (the page also shows the pictures that it
names): a number that is not here is not shown. There are no times, dates or host names in it, so
that the same plan, seed, versions and thread count give the same file; those are in
``timings.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, cast

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)

from recsec.reports.parts import Finding, GatePolicy, Part, Reproduce, Text, Verdict
from recsec.reports.threat import parts_of, threats

__all__ = ["SCHEMA_VERSION", "Report", "json_schema", "policy_class", "report_class"]

Kind = TypeVar("Kind", bound="Report")

SCHEMA_VERSION = 4
"""1 had extraction only, at the top; 2 had no defenses, 3 no level ``weak`` and no check
``reference``: both are read as they are."""


class Report(Part):
    """All that one audit found: one part for each threat that was tried.

    Here stands what all threats share; ``report_class`` has a field for each installed threat.
    """

    schema_version: Literal[2, 3, 4] = Field(default=4, description="Version of this schema.")
    kind: Literal["audit"] = Field(default="audit", description="What was run.")
    title: Text = Field(description="Title of the report.")
    synthetic: bool = Field(description="Whether the data was generated: not evidence then.")
    verdict: Verdict = Field(description="The answer; with several threats, the worst of them.")
    findings: tuple[Finding, ...] = Field(default=(), description="What to act on.")
    policy: GatePolicy = Field(description="The gate's thresholds.")
    reproduce: Reproduce = Field(description="How to get the same numbers again.")

    @property
    def gate(self) -> str:
        """What became of the gate, in a few words."""
        if self.verdict.level in ("incomplete", "weak"):
            return "no verdict"
        if not self.policy.asked:
            return "no gate was asked for"
        return f"gate {'passed' if self.verdict.passed else 'failed'}"

    def of(self, kind: type[Kind]) -> Kind:
        """This report as the class with the part of one threat.

        Raises:
            TypeError: it was made without it, not by ``report_class``.
        """
        if not isinstance(self, kind):
            raise TypeError(f"a report without the part of {kind.__name__}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _installed(cls, values: Any) -> Any:
        """A part of a threat that is not installed is refused, unless it says nothing."""
        if not isinstance(values, dict):
            return values
        foreign = [name for name in values if name not in cls.model_fields]
        if any(values[name] is not None for name in foreign):
            raise ValueError(
                f"no field {', '.join(foreign)}: a threat that is not installed here? "
                f"installed: {', '.join(threat.name for threat in threats())}"
            )
        return {name: value for name, value in values.items() if name not in foreign}

    @model_validator(mode="after")
    def _some_threat(self) -> Report:
        if not parts_of(self):
            names = ", ".join(threat.name for threat in threats())
            raise ValueError(f"a report has a part for at least one threat: {names}")
        return self

    @model_serializer(mode="wrap")
    def _tried(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the threats of plugins that were not tried: who installs one changes nothing."""
        whole: dict[str, Any] = handler(self)
        for threat in threats():
            if not threat.always and threat.part(self) is None:
                whole.pop(threat.name, None)
                whole["policy"].pop(threat.name, None)
        return whole


@cache
def policy_class() -> type[GatePolicy]:
    """A gate's policy with the thresholds of all installed threats."""
    bases = tuple(threat.policy for threat in threats())
    return create_model("GatePolicy", __base__=bases, __doc__=GatePolicy.__doc__)


@cache
def report_class() -> type[Report]:
    """A report with a part for each installed threat."""
    bases = cast("tuple[type[Report], ...]", tuple(threat.report for threat in threats()))
    return create_model(
        "Report",
        __base__=bases,
        __doc__=Report.__doc__,
        policy=(policy_class(), Field(description="The gate's thresholds.")),
    )


def json_schema() -> Mapping[str, Any]:
    """The published JSON schema of ``report.json``."""
    return report_class().model_json_schema()

"""Parts that every report has: numbers with intervals, verdict, findings, how to reproduce."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from recsec.stats import Estimate

__all__ = [
    "Count",
    "EvasionPolicy",
    "ExampleItem",
    "Finding",
    "GatePolicy",
    "Level",
    "Metric",
    "Metrics",
    "Number",
    "Part",
    "Reproduce",
    "Text",
    "ThreatModel",
    "Verdict",
]

Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Level: TypeAlias = Literal["high", "moderate", "low", "incomplete"]


class Part(BaseModel):
    """Frozen, and closed: a misspelled field is an error, not a loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Metric(Part):
    """A measured value with its interval."""

    value: Number | None = Field(description="The point estimate; null where it is not defined.")
    low: Number | None = Field(description="Lower end of the interval; null where none can be had.")
    high: Number | None = Field(
        description="Upper end of the interval; null where none can be had."
    )
    n: Count = Field(description="Units behind the value: users, pairs or seeds.")

    @classmethod
    def of(cls, estimate: Estimate) -> Metric:
        """The metric of an estimate; NaN becomes null."""
        numbers = (estimate.value, estimate.low, estimate.high)
        value, low, high = (None if x is None or math.isnan(x) else float(x) for x in numbers)
        return cls(value=value, low=low, high=high, n=estimate.n)


Metrics: TypeAlias = dict[str, Metric]
"""By flat key, such as ``agr@10``, ``success@3`` or ``precision@10``."""


class ThreatModel(Part):
    """Who attacks, with what, for what; and what is not assumed."""

    goal: Text = Field(description="What the attacker wants.")
    knowledge: Text = Field(description="What the attacker knows before the first call.")
    access: Text = Field(description="What each call shows.")
    budget: Text = Field(description="Calls, list length and accounts.")
    not_assumed: tuple[str, ...] = Field(
        default=(), description="What this audit does not grant the attacker, or did not try."
    )


class ExampleItem(Part):
    """An item as the reader knows it."""

    id: int | str = Field(description="The catalog's own id.")
    title: str = Field(description="Title, or the id again where there is none.")


class EvasionPolicy(Part):
    """The thresholds of evasion; the level at which the gate fails is common to both threats."""

    metric: Text = Field(
        default="success@10", description="Metric of the worst case on which the gate decides."
    )
    statistic: Literal["low", "value", "high"] = Field(
        default="low", description="End of the interval that is compared."
    )
    eps: Number = Field(
        default=0.05,
        description="Budget that counts: the largest of the plan that is not above it decides.",
    )
    model: str | None = Field(
        default=None, description="The model that the verdict is about; null: the first one."
    )
    moderate: Number = Field(default=0.02, description="From here on at least moderate.")
    high: Number = Field(default=0.1, description="From here on high.")


class GatePolicy(Part):
    """The thresholds that turn evidence into a verdict; those of extraction at the top."""

    metric: Text = Field(default="lift", description="Metric on which the gate decides.")
    statistic: Literal["low", "value", "high"] = Field(
        default="low", description="End of the interval that is compared."
    )
    moderate: Number = Field(description="From here on the level is at least moderate.")
    high: Number = Field(description="From here on the level is high.")
    fail_at: Literal["moderate", "high", "never"] = Field(
        default="high", description="Level at which the gate fails."
    )
    max_calls: Count | None = Field(
        default=None, description="Rows with more calls do not count; null: all rows count."
    )
    evasion: EvasionPolicy = Field(
        default_factory=EvasionPolicy, description="The same for evasion."
    )
    source: Text = Field(default="default", description="``default``, or the policy file's name.")


class Verdict(Part):
    """The answer to the owner's question, and the rule it follows from."""

    level: Level = Field(description="How well the attack works.")
    passed: bool = Field(description="Whether the gate is passed; false if evidence is incomplete.")
    rule: Text = Field(description="The rule in words, with its thresholds.")
    statement: Text = Field(description="What was found, in one or two plain sentences.")
    row: Count | None = Field(
        default=None, description="Index of the row that decided; null for both threats together."
    )


class Finding(Part):
    """One thing the owner should act on."""

    id: Text = Field(description="Stable id, for instance ``extraction-copyable``.")
    title: Text = Field(description="The finding in one line.")
    about: str | None = Field(
        default=None, description="The model under test, where there are several."
    )
    severity: Literal["high", "moderate", "low", "info"] = Field(description="How much it matters.")
    atlas: tuple[str, ...] = Field(
        default=("AML.T0024.002", "AML.T0040"), description="MITRE ATLAS techniques."
    )
    owasp: tuple[str, ...] = Field(
        default=("ML05:2023",), description="OWASP Machine Learning Top Ten."
    )
    evidence: Text = Field(description="The numbers behind it, in words.")
    advice: str = Field(default="", description="The next step for the owner.")


class Reproduce(Part):
    """What it takes to get the same numbers again."""

    command: Text = Field(description="The command, as typed.")
    seeds: tuple[int, ...] = Field(description="All seeds of the plan.")
    threads: Count = Field(description="Threads of the numerical library.")
    versions: dict[str, str] = Field(description="Package and version, recsec and Python too.")
    plan_digest: Text = Field(description="SHA-256 of the plan.")
    plan: dict[str, Any] = Field(default_factory=dict, description="The plan itself.")

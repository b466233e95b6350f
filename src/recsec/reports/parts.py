"""Parts that every report has: numbers with intervals, verdict, findings, how to reproduce."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from recsec.stats import Estimate

__all__ = [
    "Count",
    "DataPart",
    "ExampleItem",
    "Finding",
    "GatePolicy",
    "Level",
    "Metric",
    "Metrics",
    "Number",
    "Part",
    "ProtocolPart",
    "PublishedPart",
    "Reproduce",
    "Text",
    "ThreatModel",
    "ThreatPart",
    "Verdict",
]

Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Level: TypeAlias = Literal["high", "moderate", "low", "weak", "incomplete"]
Policy = TypeVar("Policy", bound="GatePolicy")


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


class DataPart(Part):
    """The data behind the evidence, whatever it holds."""

    name: Text = Field(description="Name of the data set.")
    fingerprint: Text = Field(description="SHA-256 of the content that was used.")
    synthetic: bool = Field(description="Whether the data was generated.")
    notes: tuple[str, ...] = Field(default=(), description="What the reader must know.")


class ProtocolPart(Part):
    """How something was measured."""

    statement: Text = Field(description="The protocol in a few sentences.")
    interval: Number = Field(default=0.95, description="Coverage of every interval.")


class PublishedPart(Part):
    """Numbers that others published; never measured here."""

    attack: Text = Field(description="Attack, as its authors call it.")
    data: Text = Field(description="Data set.")
    source: Text = Field(description="Where the numbers stand.")
    protocol: Text = Field(description="How they were measured, and what is not known.")


class ExampleItem(Part):
    """An item as the reader knows it."""

    id: int | str = Field(description="The catalog's own id.")
    title: str = Field(description="Title, or the id again where there is none.")


class GatePolicy(Part):
    """What turns evidence into a verdict, as far as it is common to all threats.

    Each threat adds its thresholds by a class of its own that derives from this one; see
    ``policy_class``.
    """

    fail_at: Literal["moderate", "high", "never"] = Field(
        default="high", description="Level at which the gate fails."
    )
    baseline: str | None = Field(
        default=None, description="An earlier run; a regression against it fails the gate too."
    )
    source: Text = Field(default="default", description="``default``, or the policy file's name.")

    @property
    def asked(self) -> bool:
        """Whether there is a gate at all; ``recsec extract`` asks for none."""
        return self.fail_at != "never" or self.baseline is not None

    def of(self, kind: type[Policy]) -> Policy:
        """This policy as the class with the thresholds of one threat.

        Raises:
            TypeError: it was made without them, not by ``policy_class``.
        """
        if not isinstance(self, kind):
            raise TypeError(f"a gate policy without the thresholds of {kind.__name__}")
        return self


class Verdict(Part):
    """The answer to the owner's question, and the rule it follows from."""

    level: Level = Field(description="How well the attack works.")
    passed: bool = Field(
        description="Whether the gate is passed; false if evidence is incomplete or weak."
    )
    rule: Text = Field(description="The rule in words, with its thresholds.")
    statement: Text = Field(description="What was found, in one or two plain sentences.")
    row: Count | None = Field(
        default=None, description="Index of the row that decided; null for threats together."
    )


class ThreatPart(Part):
    """What the part of any threat holds; each adds its evidence."""

    data: DataPart = Field(description="The data behind it.")
    threat_model: ThreatModel = Field(description="Who attacks, with what.")
    verdict: Verdict = Field(description="What follows for this threat.")
    scale: tuple[Number, ...] = Field(
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        description="Ticks of the axes of shares, the same in every report so that two compare.",
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
        default=("AML.T0024.002", "AML.T0005.001", "AML.T0040", "AML.T0048.004"),
        description="MITRE ATLAS techniques.",
    )
    owasp: tuple[str, ...] = Field(
        default=("ML05:2023",), description="OWASP Machine Learning Top Ten."
    )
    evidence: Text = Field(description="The numbers behind it, in words.")
    advice: str = Field(default="", description="The next step for the owner.")
    mitigations: tuple[str, ...] = Field(
        default=(), description="MITRE ATLAS mitigations that the advice amounts to."
    )


class Reproduce(Part):
    """What it takes to get the same numbers again."""

    command: Text = Field(description="The command, as typed.")
    seeds: tuple[int, ...] = Field(description="All seeds of the plan.")
    threads: Count = Field(description="Threads of the numerical library.")
    versions: dict[str, str] = Field(description="Package and version, recsec and Python too.")
    plan_digest: Text = Field(description="SHA-256 of the plan.")
    plan: dict[str, Any] = Field(default_factory=dict, description="The plan itself.")

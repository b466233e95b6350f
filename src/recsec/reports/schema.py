"""The shape of ``report.json``: what an audit found, and all that a reader needs to judge it.

The HTML page, JUnit and SARIF are made from this alone: a number that is not here is not shown.
There are no times, dates or host names in it, so that the same plan, seed, versions and thread
count give the same file; those are in ``timings.json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from recsec.stats import Estimate

__all__ = [
    "SCHEMA_VERSION",
    "Cell",
    "Cost",
    "DataSummary",
    "Example",
    "ExampleItem",
    "Finding",
    "Floor",
    "GatePolicy",
    "Metric",
    "Metrics",
    "Protocol",
    "Published",
    "Report",
    "Reproduce",
    "Row",
    "TargetSummary",
    "ThreatModel",
    "Twin",
    "Verdict",
    "json_schema",
]

SCHEMA_VERSION = 1

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
"""By flat key: ``agr@1``, ``agr@5``, ``agr@10``, ``agr@20``, ``rbo``, ``tau`` (fidelity),
``lift`` (of ``agr@10`` over the floor), ``hr@10``, ``ndcg@10`` (recommendation quality) and
``hr_ratio`` (the surrogate's HR@10 divided by the target's)."""


class TargetSummary(Part):
    """The recommender under attack, as the attacker reaches it."""

    name: Text = Field(description="What the owner calls it.")
    spec: Text = Field(description="Where it was reached: checkpoint folder, callable or address.")
    access: Literal["ids", "scores", "gradients"] = Field(description="What an answer reveals.")
    k_values: tuple[int, ...] = Field(description="List lengths that were attacked.")
    description: str = Field(
        description="Architecture, guards, and whether it was on this machine."
    )
    fingerprint: str | None = Field(
        default=None, description="SHA-256 of the weights; null where they cannot be read."
    )


class DataSummary(Part):
    """The data behind the target and the users on whom fidelity is measured."""

    name: Text = Field(description="Name of the data set.")
    users: Count = Field(description="Users after filtering.")
    items: Count = Field(description="Items after filtering.")
    interactions: Count = Field(description="Interactions after filtering.")
    fingerprint: Text = Field(description="SHA-256 of the filtered content.")
    synthetic: bool = Field(description="Whether the data was generated.")
    notes: tuple[str, ...] = Field(
        default=(), description="What the reader must know: filters, licence, unreal times."
    )


class Protocol(Part):
    """How fidelity and quality were measured."""

    statement: Text = Field(description="The protocol in one or two sentences.")
    users: Count = Field(description="Users whose histories were used.")
    candidates: Count = Field(description="Items that are ranked for each user.")
    interval: Number = Field(default=0.95, description="Coverage of every interval.")


class ThreatModel(Part):
    """Who attacks, with what, for what; and what is not assumed."""

    goal: Text = Field(description="What the attacker wants.")
    knowledge: Text = Field(description="What the attacker knows before the first call.")
    access: Text = Field(description="What each call shows.")
    budget: Text = Field(description="Calls, list length and accounts.")
    not_assumed: tuple[str, ...] = Field(
        default=(), description="What this audit does not grant the attacker, or did not try."
    )


class Floor(Part):
    """The fidelity that the same attacker reaches with zero calls."""

    name: Text = Field(description="The model behind the floor, for instance ``popularity``.")
    description: str = Field(default="", description="Why this is the floor of this attacker.")
    metrics: Metrics = Field(description="Fidelity, and quality where it is measured.")


class Twin(Part):
    """Independent models: same data and architecture, other seeds, no query."""

    metrics: Metrics | None = Field(
        description="Fidelity and quality of the twins; null if there is none."
    )
    seeds: tuple[int, ...] = Field(default=(), description="The twins' training seeds.")
    reason: str = Field(default="", description="Why there is no twin, where there is none.")


class Cell(Part):
    """One attack with one seed: the unit that is run, resumed and counted."""

    id: Text = Field(description="Name of the cell within the run.")
    policy: Text = Field(description="Query policy of the attacker.")
    k: Count = Field(description="List length asked for.")
    calls: Count = Field(description="API calls that the thief may use, one per request.")
    accounts: Count = Field(default=1, description="Accounts over which the calls are spread.")
    surrogate: Text = Field(description="Architecture of the surrogate.")
    loss: Text = Field(description="Loss of the surrogate.")
    seed: int = Field(description="Seed of the attack.")
    status: Literal["ok", "error", "refused"] = Field(
        description="``refused``: the target or the meter declined. Neither counts as safe."
    )
    error: str | None = Field(default=None, description="What went wrong, where it did.")
    metrics: Metrics = Field(
        default_factory=dict, description="Intervals are over users; empty unless ok."
    )


class Row(Part):
    """Cells that differ in the seed only, taken together."""

    policy: Text = Field(description="Query policy of the attacker.")
    k: Count = Field(description="List length asked for.")
    calls: Count = Field(description="API calls used by each cell.")
    accounts: Count = Field(default=1, description="Accounts over which the calls are spread.")
    surrogate: Text = Field(description="Architecture of the surrogate.")
    loss: Text = Field(description="Loss of the surrogate.")
    seeds: tuple[int, ...] = Field(description="Seeds of the cells that were measured.")
    missing: Count = Field(default=0, description="Cells of this row that could not be measured.")
    metrics: Metrics = Field(description="Means over seeds with their intervals.")


class ExampleItem(Part):
    """An item as the reader knows it."""

    id: int | str = Field(description="The catalog's own id.")
    title: str = Field(description="Title, or the id again where there is none.")


class Example(Part):
    """One user: the same history, the target's list, and the surrogate's."""

    cell: Text = Field(description="Cell whose surrogate answered.")
    history: tuple[ExampleItem, ...] = Field(description="Last items of the history, oldest first.")
    history_length: Count = Field(description="Items in the whole history.")
    target: tuple[ExampleItem, ...] = Field(description="The target's list, best first.")
    surrogate: tuple[ExampleItem, ...] = Field(description="The surrogate's list, best first.")
    shared: Count = Field(description="Items that stand in both lists.")


class Cost(Part):
    """What the calls cost the thief in time, under a rate limit."""

    calls: Count = Field(description="Calls of the attack.")
    accounts: Count = Field(default=1, description="Accounts used side by side.")
    rate: Number = Field(gt=0, description="Calls per second that the API allows one account.")
    hours: Number = Field(ge=0, description="calls / (rate x accounts x 3600).")


class Published(Part):
    """A number that others published; never measured here."""

    attack: Text = Field(description="Attack, as its authors call it.")
    target: Text = Field(description="Architecture of the target.")
    data: Text = Field(description="Data set.")
    k: Count = Field(description="List length asked for.")
    calls: Count = Field(description="API calls, one per request, whatever the source counts.")
    metrics: dict[str, Number] = Field(description="Values by flat key, as printed.")
    source: Text = Field(description="Where the number stands.")
    protocol: Text = Field(description="How it was measured, and what is not known.")


class GatePolicy(Part):
    """The thresholds that turn evidence into a verdict."""

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
    source: Text = Field(default="default", description="``default``, or the policy file's name.")


class Verdict(Part):
    """The answer to the owner's question, and the rule it follows from."""

    level: Level = Field(description="How well the recommender can be copied.")
    passed: bool = Field(description="Whether the gate is passed; false if evidence is incomplete.")
    rule: Text = Field(description="The rule in words, with its thresholds.")
    statement: Text = Field(description="What was found, in one or two plain sentences.")
    row: Count | None = Field(default=None, description="Index of the row that decided.")


class Finding(Part):
    """One thing the owner should act on."""

    id: Text = Field(description="Stable id, for instance ``extraction-copyable``.")
    title: Text = Field(description="The finding in one line.")
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


class Report(Part):
    """All that one audit found."""

    schema_version: Literal[1] = Field(default=1, description="Version of this schema.")
    kind: Literal["extraction"] = Field(
        default="extraction", description="The attack that was tried."
    )
    title: Text = Field(description="Title of the report.")
    synthetic: bool = Field(description="Whether the data was generated: not evidence then.")
    target: TargetSummary = Field(description="The recommender under attack.")
    data: DataSummary = Field(description="The data behind it.")
    protocol: Protocol = Field(description="How it was measured.")
    threat_model: ThreatModel = Field(description="Who attacks, with what.")
    target_quality: Metrics = Field(description="How well the target itself recommends.")
    floor: Floor = Field(description="Fidelity with zero calls.")
    twin: Twin = Field(description="Fidelity of an independent model.")
    cells: tuple[Cell, ...] = Field(description="Everything that was tried, also what failed.")
    rows: tuple[Row, ...] = Field(description="The evidence table, seeds taken together.")
    examples: tuple[Example, ...] = Field(default=(), description="Lists side by side.")
    cost: tuple[Cost, ...] = Field(default=(), description="What the calls cost the thief.")
    published: tuple[Published, ...] = Field(default=(), description="Others' numbers, apart.")
    policy: GatePolicy = Field(description="The gate's thresholds.")
    verdict: Verdict = Field(description="The answer.")
    findings: tuple[Finding, ...] = Field(default=(), description="What to act on.")
    reproduce: Reproduce = Field(description="How to get the same numbers again.")
    scale: tuple[Number, ...] = Field(
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        description="Ticks of the agreement axis, the same in every report so that two compare.",
    )


def json_schema() -> Mapping[str, Any]:
    """The published JSON schema of ``report.json``."""
    return Report.model_json_schema()

"""What the extraction part of a report holds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recsec.reports.parts import (
    Count,
    DataPart,
    ExampleItem,
    Metrics,
    Number,
    Part,
    ProtocolPart,
    PublishedPart,
    Text,
    ThreatPart,
)

__all__ = [
    "UNDEFENDED",
    "ActivityRow",
    "Cell",
    "CopyCheck",
    "Cost",
    "DataSummary",
    "Defense",
    "Example",
    "Extraction",
    "Floor",
    "Protocol",
    "Published",
    "Row",
    "TargetSummary",
    "Twin",
]

UNDEFENDED = "undefended"
"""The bare target, first of all defenses."""


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


class DataSummary(DataPart):
    """The data behind the target and the users on whom fidelity is measured."""

    users: Count = Field(description="Users after filtering.")
    items: Count = Field(description="Items after filtering.")
    interactions: Count = Field(description="Interactions after filtering.")


class Protocol(ProtocolPart):
    """How fidelity and quality were measured."""

    users: Count = Field(description="Users whose histories were used.")
    candidates: Count = Field(description="Items that are ranked for each user.")


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
    reason: str = Field(
        default="", description="Why there is no twin, or why it says nothing; else empty."
    )


class Cell(Part):
    """One attack with one seed: the unit that is run, resumed and counted."""

    id: Text = Field(description="Name of the cell within the run.")
    defense: Text = Field(default=UNDEFENDED, description="Who answered the thief.")
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

    defense: Text = Field(default=UNDEFENDED, description="Who answered the thief.")
    adaptive: tuple[str, ...] = Field(
        default=(), description="What the thief does about defenses; empty: the thief ignores them."
    )
    policy: Text = Field(description="Query policy of the attacker.")
    k: Count = Field(description="List length asked for.")
    calls: Count = Field(description="API calls used by each cell.")
    accounts: Count = Field(default=1, description="Accounts over which the calls are spread.")
    surrogate: Text = Field(description="Architecture of the surrogate.")
    loss: Text = Field(description="Loss of the surrogate.")
    seeds: tuple[int, ...] = Field(description="Seeds of the cells that were measured.")
    missing: Count = Field(default=0, description="Cells of this row that could not be measured.")
    metrics: Metrics = Field(description="Means over seeds with their intervals.")


class ActivityRow(Part):
    """About a tenth of the users, by the items in their histories: what the copy is for them."""

    group: Text = Field(description="Which tenth, and the shortest and longest history in it.")
    users: Count = Field(description="Users in it.")
    metrics: Metrics = Field(
        description="Of the copy, over these users; ``target_hr@10`` is the target's."
    )


class CopyCheck(Part):
    """A property that a sound evaluation has, over the thieves of the bare target."""

    check: Literal["training", "reproduces", "converged", "monotone", "twin"] = Field(
        description="Which property."
    )
    title: Text = Field(description="The property in words.")
    status: Literal["passed", "failed", "not tried"] = Field(
        description="A failed check means that the numbers may understate the thief."
    )
    evidence: Text = Field(description="The numbers behind it, in words.")


class Defense(Part):
    """What a defense costs honest users, and what it leaves the thief.

    Quality by flat key: ``hr@10``, ``ndcg@10`` and ``overlap@10`` (with the bare target's lists) of
    the lists that users get, and ``utility``: HR@10 divided by the bare target's.
    """

    name: Text = Field(description="Name in the plan; the bare target is the first.")
    guards: tuple[str, ...] = Field(default=(), description="Guards, in the order they act.")
    model: str | None = Field(
        default=None, description="Checkpoint that replaces the target; null: the target itself."
    )
    fingerprint: str | None = Field(
        default=None, description="SHA-256 of the weights behind it; null where none can be read."
    )
    quality: Metrics = Field(description="Through the answers; empty where it was not measured.")
    thieves: Count = Field(description="Rows in which it met a thief and the copy was measured.")
    plain: Count | None = Field(
        default=None, description="Row with the highest gain of a thief who ignores defenses."
    )
    adaptive: Count | None = Field(
        default=None, description="Row with the highest gain of a thief who adapts to the defense."
    )
    best: Count | None = Field(default=None, description="Row with the highest gain of all.")
    frontier: bool = Field(
        default=False,
        description="No other defense keeps as much utility and leaves less gain.",
    )
    error: str | None = Field(default=None, description="Why it could not be measured.")


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


class Published(PublishedPart):
    """A number that others published; never measured here."""

    target: Text = Field(description="Architecture of the target.")
    k: Count = Field(description="List length asked for.")
    calls: Count = Field(description="API calls, one per request, whatever the source counts.")
    metrics: dict[str, Number] = Field(description="Values by flat key, as printed.")


class Extraction(ThreatPart):
    """Can somebody who only asks the API rebuild the recommender?

    Metrics by flat key: ``agr@1``, ``agr@5``, ``agr@10``, ``agr@20``, ``rbo``, ``tau`` (fidelity),
    ``lift`` (gain of ``agr@10`` over the floor), ``hr@10``, ``ndcg@10`` (recommendation quality),
    ``hr_ratio`` (the surrogate's HR@10 divided by the target's). All compare with the lists of the
    bare target. Rows of a thief to whom histories leak have a ``floor`` of their own: the
    ``agr@10`` that ``lift`` stands above. Rows of a defense also have ``served_agr@10`` and its
    like (with the lists that the defense serves) and ``lift_taken`` (1 - lift / lift of the same
    thief on the bare target).
    """

    target: TargetSummary = Field(description="The recommender under attack.")
    data: DataSummary = Field(description="The data behind it.")
    protocol: Protocol = Field(description="How it was measured.")
    target_quality: Metrics = Field(description="How well the target itself recommends.")
    floor: Floor = Field(description="Fidelity with zero calls.")
    twin: Twin = Field(description="Fidelity of an independent model.")
    cells: tuple[Cell, ...] = Field(description="Everything that was tried, also what failed.")
    rows: tuple[Row, ...] = Field(description="The evidence table, seeds taken together.")
    defenses: tuple[Defense, ...] = Field(
        default=(), description="What the plan put before the thief; empty: the bare target only."
    )
    checks: tuple[CopyCheck, ...] = Field(default=(), description="Is the evaluation itself sound?")
    activity: tuple[ActivityRow, ...] = Field(
        default=(), description="The deciding row by activity of the users, least active first."
    )
    examples: tuple[Example, ...] = Field(default=(), description="Lists side by side.")
    cost: tuple[Cost, ...] = Field(default=(), description="What the calls cost the thief.")
    published: tuple[Published, ...] = Field(default=(), description="Others' numbers, apart.")

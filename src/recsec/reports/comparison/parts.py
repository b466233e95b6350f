"""What a comparison of two audits holds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recsec.reports.parts import Count, Level, Metric, Number, Part, Text

__all__ = ["Change", "Diff", "FindingChange", "RunPart"]


class RunPart(Part):
    """One of the two audits."""

    name: Text = Field(description="Its folder, as given.")
    title: Text = Field(description="Title of its report.")
    level: Level = Field(description="Level of its verdict.")
    passed: bool = Field(description="Whether its gate was passed.")
    synthetic: bool = Field(description="Whether its data was generated.")


class Change(Part):
    """One number of one cell, before and after; higher is worse for the owner."""

    threat: Text = Field(description="Name of the threat.")
    cell: Text = Field(description="Name of the cell, the same in both runs.")
    metric: str = Field(description="Flat key; empty where the cell was measured in one run only.")
    decides: bool = Field(description="Whether this is the number by which the cell is judged.")
    status: Literal["worse", "better", "same", "new", "gone", "lost", "measured"] = Field(
        description="``same``: no difference shown. ``lost``: measured before, not now."
    )
    old: Metric | None = Field(default=None, description="Before.")
    new: Metric | None = Field(default=None, description="After.")
    difference: Metric | None = Field(default=None, description="New minus old, 95 % interval.")
    paired: bool = Field(
        default=False, description="Whether the units were the same: users, pairs."
    )


class FindingChange(Part):
    """One finding, before and after."""

    id: Text = Field(description="Stable id of the finding.")
    about: str | None = Field(default=None, description="The model it is about.")
    status: Literal["new", "gone", "worse", "better", "same"] = Field(description="What became.")
    old: str | None = Field(default=None, description="Severity before.")
    new: str | None = Field(default=None, description="Severity now.")
    title: Text = Field(description="The finding now, or before where it is gone.")


class Diff(Part):
    """What changed between two audits."""

    schema_version: Literal[1] = Field(default=1, description="Version of this schema.")
    kind: Literal["diff"] = Field(default="diff", description="What this is.")
    old: RunPart = Field(description="The audit before.")
    new: RunPart = Field(description="The audit after.")
    regression: bool = Field(description="Whether something got worse, by the rule.")
    lost: Count = Field(description="Cells that were measured before and are not now.")
    statement: Text = Field(description="What changed, in one or two sentences.")
    reasons: tuple[str, ...] = Field(default=(), description="What makes it a regression.")
    rule: Text = Field(description="When a change counts.")
    confidence: Number = Field(description="Of the interval by which a cell is judged.")
    changes: tuple[Change, ...] = Field(description="Cell by cell.")
    findings: tuple[FindingChange, ...] = Field(description="Finding by finding.")
    notes: tuple[str, ...] = Field(default=(), description="What makes the two hard to compare.")

"""The toy threat in reports."""

from __future__ import annotations

from pydantic import Field

from recsec.reports import (
    Case,
    DataPart,
    GatePolicy,
    Metric,
    Part,
    Report,
    Threat,
    ThreatPart,
)


class FloodRow(Part):
    """Calls of one size."""

    id: str = Field(description="Name of the cell.")
    status: str = Field(description="ok or error.")
    error: str | None = Field(default=None, description="Why it was not measured.")
    answered: Metric | None = Field(default=None, description="Share of calls answered.")


class Flood(ThreatPart):
    """Does a counter tire?"""

    data: DataPart = Field(description="The counter.")
    rows: tuple[FloodRow, ...] = Field(description="By size.")


class FloodReport(Report):
    """A report with a part about floods."""

    flood: Flood | None = Field(default=None, description="Can the counter be flooded?")


class FloodLimits(Part):
    """Thresholds."""

    moderate: float = Field(default=0.2, description="From here on moderate.")
    high: float = Field(default=0.5, description="From here on high.")


class FloodGate(GatePolicy):
    """A policy with the thresholds of floods."""

    flood: FloodLimits = Field(default_factory=FloodLimits, description="Thresholds.")


class FloodThreat(Threat):
    """A counter is flooded."""

    name = "flood"
    report = FloodReport
    policy = FloodGate
    audit = "toy_flood.audit:FloodAudit"
    package = "toy_flood"

    def title(self, part):
        return f"Flood audit of {part.data.name}"

    def fragments(self, part, document):
        verdict = document.page("flood_verdict.html", part="flood", headline=None)
        return {"verdict": verdict, "body": document.page("flood.html")}

    def cases(self, part):
        return [
            Case(row.id, row.status, row.error, {"answered": row.answered} if row.answered else {})
            for row in part.rows
        ]

    def subject(self, part, finding):
        return part.data.name, f"counter:{part.data.name}"

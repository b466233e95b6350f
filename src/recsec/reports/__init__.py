"""Reports of run directories: ``report.json`` and what is made from it."""

from __future__ import annotations

from recsec.reports.published import published_numbers
from recsec.reports.render import kind_of, read_report, render, render_training
from recsec.reports.schema import (
    SCHEMA_VERSION,
    Cell,
    Cost,
    DataSummary,
    Example,
    ExampleItem,
    Finding,
    Floor,
    GatePolicy,
    Metric,
    Metrics,
    Protocol,
    Published,
    Report,
    Reproduce,
    Row,
    TargetSummary,
    ThreatModel,
    Twin,
    Verdict,
    json_schema,
)

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
    "kind_of",
    "published_numbers",
    "read_report",
    "render",
    "render_training",
]

"""The shape of ``report.json``: what an audit found, and all that a reader needs to judge it.

The HTML page, JUnit and SARIF are made from this alone (the page also shows the pictures that it
names): a number that is not here is not shown. There are no times, dates or host names in it, so
that the same plan, seed, versions and thread count give the same file; those are in
``timings.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from recsec.reports.evasion.part import Evasion
from recsec.reports.extraction.part import Extraction
from recsec.reports.parts import Finding, GatePolicy, Part, Reproduce, Text, Verdict

__all__ = ["SCHEMA_VERSION", "Report", "json_schema"]

SCHEMA_VERSION = 3
"""1 had extraction only, at the top; 2 had no defenses and is read as it is."""


class Report(Part):
    """All that one audit found: one part for each threat that was tried."""

    schema_version: Literal[2, 3] = Field(default=3, description="Version of this schema.")
    kind: Literal["audit"] = Field(default="audit", description="What was run.")
    title: Text = Field(description="Title of the report.")
    synthetic: bool = Field(description="Whether the data was generated: not evidence then.")
    verdict: Verdict = Field(description="The answer; with two threats, the worse of the two.")
    findings: tuple[Finding, ...] = Field(default=(), description="What to act on.")
    policy: GatePolicy = Field(description="The gate's thresholds.")
    extraction: Extraction | None = Field(default=None, description="Can the model be copied?")
    evasion: Evasion | None = Field(default=None, description="Can a photo enter any list?")
    reproduce: Reproduce = Field(description="How to get the same numbers again.")

    @model_validator(mode="after")
    def _some_threat(self) -> Report:
        if self.extraction is None and self.evasion is None:
            raise ValueError("a report has an extraction part, an evasion part, or both")
        return self


def json_schema() -> Mapping[str, Any]:
    """The published JSON schema of ``report.json``."""
    return Report.model_json_schema()

"""Extraction as a threat in reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from recsec.reports.extraction.part import Extraction
from recsec.reports.extraction.policy import ExtractionGate
from recsec.reports.parts import Finding
from recsec.reports.schema import Report
from recsec.reports.threat import Case, Threat

if TYPE_CHECKING:
    from recsec.reports.document import Document

__all__ = ["ExtractionReport", "ExtractionThreat"]


class ExtractionReport(Report):
    """A report with a part about extraction."""

    extraction: Extraction | None = Field(default=None, description="Can the model be copied?")


class ExtractionThreat(Threat):
    """A recommender is copied through its top-k API."""

    name = "extraction"
    place = 0
    report = ExtractionReport
    policy = ExtractionGate
    audit = "recsec.audit.extraction.threat:ExtractionAudit"
    view = "recsec.cli.sequential.view:ExtractionView"
    always = True

    def title(self, part: Extraction) -> str:
        """Named after the target."""
        return f"Extraction audit of {part.target.name}"

    def fragments(self, part: Extraction, document: Document) -> Mapping[str, str]:
        """Verdict and evidence."""
        from recsec.reports.extraction.page import extraction_fragments

        return extraction_fragments(part, document)

    def cases(self, part: Extraction) -> Sequence[Case]:
        """One for each cell."""
        return [Case(cell.id, cell.status, cell.error, cell.metrics) for cell in part.cells]

    def subject(self, part: Extraction, finding: Finding) -> tuple[str, str]:
        """The target, whatever was found."""
        return part.target.name, part.target.spec

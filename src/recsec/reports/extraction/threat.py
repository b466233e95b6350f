"""Extraction as a threat in reports."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from recsec.reports.extraction.part import Extraction
from recsec.reports.extraction.policy import ExtractionGate
from recsec.reports.parts import Finding
from recsec.reports.schema import Report
from recsec.reports.threat import Case, Threat
from recsec.runs import read_table

if TYPE_CHECKING:
    from pathlib import Path

    from recsec.reports.document import Document

__all__ = ["ExtractionReport", "ExtractionThreat"]


DEPTH = 10
"""Places of a list on which agreement is judged."""


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
    compared = ("agr@10", "lift")
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

    def units(
        self, run: Path, part: Extraction, case: Case
    ) -> Mapping[str, Mapping[Hashable, float]]:
        """Agr@10 of each user, from the lists of copy and target; as ``metrics.agreement`` does."""
        paths = [run / "answers" / f"{name}.parquet" for name in (case.id, "target")]
        if not all(path.is_file() for path in paths):
            return {}
        copy, target = (read_table(path, columns=("user", "list")) for path in paths)
        lists = dict(zip(target["user"].to_list(), target["list"].to_list(), strict=True))
        rows = zip(copy["user"].to_list(), copy["list"].to_list(), strict=True)
        return {
            "agr@10": {
                user: len(set(items[:DEPTH]) & set(lists[user][:DEPTH])) / DEPTH
                for user, items in rows
                if user in lists
            }
        }

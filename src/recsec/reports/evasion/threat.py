"""Evasion as a threat in reports."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from glob import escape
from typing import TYPE_CHECKING

from pydantic import Field

from recsec.reports.evasion.part import Evasion
from recsec.reports.evasion.policy import EvasionGate
from recsec.reports.parts import Finding
from recsec.reports.schema import Report
from recsec.reports.threat import Case, Threat
from recsec.runs import read_table

if TYPE_CHECKING:
    from pathlib import Path

    from recsec.reports.document import Document

__all__ = ["EvasionReport", "EvasionThreat"]


class EvasionReport(Report):
    """A report with a part about evasion."""

    evasion: Evasion | None = Field(default=None, description="Can a photo enter any list?")


class EvasionThreat(Threat):
    """A photo enters chosen lists of a visual recommender by changes that nobody sees."""

    name = "evasion"
    place = 1
    report = EvasionReport
    policy = EvasionGate
    audit = "recsec.audit.evasion.threat:EvasionAudit"
    view = "recsec.cli.visual.view:EvasionView"
    compared = ("success@3", "success@1", "success@10")
    always = True

    def title(self, part: Evasion) -> str:
        """Named after the photos."""
        return f"Evasion audit on {part.data.name}"

    def fragments(self, part: Evasion, document: Document) -> Mapping[str, str]:
        """Verdict and evidence."""
        from recsec.reports.evasion.page import evasion_fragments

        return evasion_fragments(part, document)

    def cases(self, part: Evasion) -> Sequence[Case]:
        """One for each attack with one budget on one model."""
        return [Case(row.id, row.status, row.error, row.success) for row in part.rows]

    def subject(self, part: Evasion, finding: Finding) -> tuple[str, str]:
        """The model that the finding names, else the first one."""
        about = finding.about or part.models[0].name
        specs = {model.name: model.spec for model in part.models}
        return about, specs.get(about, about)

    def units(self, run: Path, part: Evasion, case: Case) -> Mapping[str, Mapping[Hashable, float]]:
        """Whether each pair reached a rank with a photo inside the budget."""
        names = ("attacker", "target", "rank_after", "in_budget")
        found: dict[str, dict[Hashable, float]] = {name: {} for name in self.compared}
        for path in sorted(run.glob(f"evasion/{escape(case.id)}-p*.parquet")):
            for *pair, rank, inside in read_table(path, columns=names).iter_rows():
                for name in self.compared:
                    limit = int(name.removeprefix("success@"))
                    found[name][(part.data.fingerprint, *pair)] = float(inside and rank <= limit)
        return found

    def pictures(self, part: Evasion) -> Iterable[str | None]:
        """Photos of the journeys, and the map."""
        for journey in part.journeys:
            yield journey.target_picture
            for frame in journey.frames:
                yield from (frame.picture, frame.difference)
            for neighbor in (*journey.before, *journey.after):
                yield neighbor.picture
        if part.map is not None:
            yield part.map.picture

"""A threat, as reports know it: its part, its section of the page, its cases and findings.

What an audit does about a threat stands in a class of its own, which is imported only when a plan
is run: a report needs neither torch nor data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from recsec.registry import registry
from recsec.reports.parts import Finding, GatePolicy, Metrics, Part, ThreatPart

if TYPE_CHECKING:
    from pathlib import Path

    from recsec.reports.document import Document

__all__ = ["Case", "Threat", "parts_of", "threats"]


@dataclass(frozen=True)
class Case:
    """One thing that was tried: a test case of JUnit.

    Attributes:
        id: name within the run.
        status: ``ok`` where it was measured, whatever was found.
        error: why it was not.
        metrics: what was measured.
    """

    id: str
    status: str
    error: str | None = None
    metrics: Metrics = field(default_factory=dict)


class Threat(ABC):
    """One kind of attack. A new one is a folder with this class, and an entry point.

    Its object is registered as ``[project.entry-points."recsec.threats"]``; the key is ``name``.

    Attributes:
        name: key of its part in a report, and of its findings: ``extraction``.
        place: order on the page, among threats of equal place by name.
        report: a ``Report`` with a field ``name`` for its part, ``None`` where it was not tried.
        policy: a gate's policy with its thresholds.
        audit: ``module:Class`` of the ``ThreatAudit`` that plans and does its work.
        view: ``module:Class`` of the ``ThreatView`` for a terminal; ``None`` for a plain one.
        package: where its page templates lie, in a folder ``templates``.
        compared: metrics of a case by which two runs are compared, higher is worse; the first
            decides. Empty: all of them.
        always: its keys stand in every report, ``null`` where it was not tried. True for the
            threats of the first report schemas only.
    """

    name: ClassVar[str]
    place: ClassVar[int] = 100
    report: ClassVar[type[Part]]
    policy: ClassVar[type[GatePolicy]]
    audit: ClassVar[str]
    view: ClassVar[str | None] = None
    package: ClassVar[str] = "recsec.reports"
    compared: ClassVar[tuple[str, ...]] = ()
    always: ClassVar[bool] = False

    def part(self, report: Part) -> Any:
        """Its part of a report, ``None`` where it was not tried."""
        return getattr(report, self.name, None)

    def owns(self, finding: Finding) -> bool:
        """Whether a finding is one of its own: ids begin with its name."""
        return finding.id.startswith(f"{self.name}-")

    @abstractmethod
    def title(self, part: Any) -> str:
        """The title of a report that has this part only."""

    @abstractmethod
    def fragments(self, part: Any, document: Document) -> Mapping[str, str]:
        """Its section of the page as HTML: ``verdict`` (short, at the top) and ``body``.

        Args:
            part: its part.
            document: the same as JSON, rooted at the part.
        """

    @abstractmethod
    def cases(self, part: Any) -> Sequence[Case]:
        """Everything that was tried, also what failed."""

    @abstractmethod
    def subject(self, part: Any, finding: Finding) -> tuple[str, str]:
        """Name and whereabouts of what one of its findings is about."""

    def units(self, run: Path, part: Any, case: Case) -> Mapping[str, Mapping[Hashable, float]]:
        """What a case was measured at, by metric and unit (a user, a pair), as far as it is kept.

        Two runs that have the same units are compared pair by pair.

        Args:
            run: the run directory.
            part: its part of that run's report.
            case: one of its cases.
        """
        return {}

    def pictures(self, part: Any) -> Iterable[str | None]:
        """Files of the run directory that its section shows."""
        return ()


@cache
def threats() -> tuple[Threat, ...]:
    """All threats that are installed, in the order of a page; a broken plugin is left out."""
    found: list[Threat] = [kind() for kind in registry("threats").items().values()]
    return tuple(sorted(found, key=lambda threat: (threat.place, threat.name)))


def parts_of(report: Part) -> list[tuple[Threat, ThreatPart]]:
    """The threats that were tried, with their parts."""
    return [(one, part) for one in threats() if (part := one.part(report)) is not None]

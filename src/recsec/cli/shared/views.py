"""How an audit shows a threat on a terminal and as flat JSON, whatever the threat is."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from recsec.cli.shared.tables import metric_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsec.audit import ThreatScope
    from recsec.reports import Report, Threat

__all__ = ["ThreatView", "announce", "duration", "view_of", "warn"]


class ThreatView:
    """A plain view: one line for each case. A threat may name one of its own."""

    def __init__(self, threat: Threat) -> None:
        self.threat = threat

    def flat(self, part: Any) -> dict[str, Any]:
        """Keys that ``recsec audit --json`` gets from the part."""
        return {self.threat.name: part.model_dump(mode="json")}

    def show(self, console: Console, part: Any) -> None:
        """Print the evidence."""
        table = Table(self.threat.name, "", "", box=box.SIMPLE_HEAD, pad_edge=False)
        for case in self.threat.cases(part):
            numbers = ", ".join(f"{name} {metric_text(one)}" for name, one in case.metrics.items())
            table.add_row(case.id, case.status, case.error or numbers)
        console.print(table)


def view_of(threat: Threat) -> ThreatView:
    """The view of a threat."""
    if threat.view is None:
        return ThreatView(threat)
    module, _, name = threat.view.partition(":")
    found: ThreatView = getattr(importlib.import_module(module), name)(threat)
    return found


def announce(scopes: Mapping[Threat, ThreatScope]) -> None:
    """Say what is going to happen, before the first query."""
    from recsec.cli.shared.output import note

    for scope in scopes.values():
        for line in scope.words(duration):
            note(line)


def warn(report: Report) -> None:
    """Say beside the numbers what was found wrong with a target."""
    from recsec.cli.shared.output import note

    for finding in report.findings:
        if finding.id.endswith(("-target-defective", "-unknown-items", "-seen-test")):
            note(f"warning: {finding.evidence}")


def duration(seconds: float) -> str:
    """One unit, rounded: it is an estimate.

    >>> duration(7000)
    '1.9 hours'
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} hours"

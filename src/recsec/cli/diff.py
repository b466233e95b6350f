"""``recsec diff``: what changed between two audits."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit, note
from recsec.cli.shared.tables import metric_text, plain_table
from recsec.errors import EXIT_GATE_FAILED, EvidenceIncomplete

if TYPE_CHECKING:
    from recsec.reports.comparison import Change, Diff

__all__ = ["run"]


class FailOn(StrEnum):
    """What makes the exit code 1."""

    NEVER = "never"
    REGRESSION = "regression"


def run(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The run directory before.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The run directory after.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page.")
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="regression: exit code 1 if something got worse.")
    ] = FailOn.NEVER,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare two audits cell by cell.

    Cells of the same name are compared, with the interval of the difference: paired where both runs
    kept the same users or pairs. A regression is a worse cell, a higher level, or a new or worse
    finding of severity moderate or high. With --fail-on regression the exit code is 1 then, and 4
    if a cell that was measured before could not be measured now.
    """
    from recsec.library.audits import diff

    found = diff(old, new)
    if html is not None:
        from recsec.reports.comparison import diff_html
        from recsec.runs import atomic_write_text

        html.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(html, diff_html(found))
        note(f"page: {html}")
    emit(found.model_dump(mode="json"), lambda console: _show(console, found), json=json)
    if fail_on is FailOn.REGRESSION:
        if found.regression:
            raise typer.Exit(EXIT_GATE_FAILED)
        if found.lost:
            raise typer.Exit(EvidenceIncomplete.exit_code)


def _show(console: Console, found: Diff) -> None:
    cells: dict[str, list[Change]] = {}
    for one in found.changes:
        cells.setdefault(one.cell, []).append(one)
    for name, changes in cells.items():
        decided = next((one.status for one in changes if one.decides), "same")
        console.print(Text.assemble((name, "bold"), f": {decided}"), soft_wrap=True)
        shown = [one for one in changes if one.difference is not None]
        if shown:
            table = plain_table("", ["", "before", "now", "difference", ""])
            for one in shown:
                how = "paired" if one.paired else ""
                numbers = [metric_text(each) for each in (one.old, one.new, one.difference)]
                table.add_row(one.metric, *numbers, how)
            console.print(table)
    for finding in found.findings:
        if finding.status != "same":
            console.print(f"finding {finding.status}: {finding.title}", soft_wrap=True)
    console.print("regression" if found.regression else "no regression", style="bold")
    for reason in found.reasons:
        console.print(f"  {reason}", soft_wrap=True)
    console.print(found.statement, soft_wrap=True)
    for text in found.notes:
        console.print(f"note: {text}", soft_wrap=True)

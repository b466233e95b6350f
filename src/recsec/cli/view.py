"""``recsec view``: a static site over many runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit, note

__all__ = ["run"]


def run(
    runs: Annotated[
        Path, typer.Argument(metavar="RUNS_DIR", help="The folder that holds run directories.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of the site; written over.")
    ],
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a site over many audits: index, trends, comparisons, every report.

    One folder that needs no server and no network. Audits with the same title belong together and
    are ordered by when they were run; each is compared with the one before it. The tables of every
    report lie there as CSV and Markdown.
    """
    from recsec.reports.site import find_runs, write_site

    found, faults = find_runs(runs)
    index = write_site(found, out)
    for fault in faults:
        note(fault)
    result = {"index": str(index), "runs": [one.name for one in found], "left_out": faults}

    def show(console: Console) -> None:
        console.print(f"{len(found)} runs: {index}", soft_wrap=True)

    emit(result, show, json=json)

"""``recsec report``: the report of a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit
from recsec.cli.shared.views import view_of
from recsec.errors import UsageError

if TYPE_CHECKING:
    from recsec.reports import Report

__all__ = ["run"]


def run(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="Folder of an audit, an extraction or a training."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where to write; by default the run's folder."),
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option("--tables", metavar="DIR", help="Also write its tables: CSV and Markdown."),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of an audit's report.json.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make the report of a run directory.

    An audit gets report.html, junit.xml and sarif.json; a training gets its curves. The kind is
    read from the run. A failed gate is not an error here: it is what the report says.
    """
    if schema:
        from recsec.reports.schema import json_schema

        emit(json_schema(), lambda console: _print_json(console, json_schema()), json=json)
        return
    if run is None:
        raise UsageError("missing RUN: which run?", hint="recsec report RUN, or --schema")
    from recsec.reports import kind_of, read_report, render, render_training

    kind = kind_of(run)
    files = (render if kind == "audit" else render_training)(run, out=out)
    found: dict[str, Any] = {"kind": kind, "files": [str(path) for path in files]}
    report = read_report(run) if kind == "audit" else None
    if tables is not None:
        if report is None:
            raise UsageError("--tables is about audits; a training has one table, history.json")
        from recsec.reports.formats.tables import write_tables

        found["files"] += [str(path) for path in write_tables(report, tables)]
    if report is not None:
        found["synthetic"] = report.synthetic
        found["verdict"] = report.verdict.model_dump(mode="json")
    emit(found, lambda console: _show(console, found, report), json=json)


def _print_json(console: Console, value: Any) -> None:
    console.print_json(data=value, highlight=False)


def _show(console: Console, found: dict[str, Any], report: Report | None) -> None:
    """The evidence of an audit, then verdict and files, one line each."""
    if report is not None:
        from recsec.reports import parts_of

        for threat, part in parts_of(report):
            view_of(threat).show(console, part)
        note = " (synthetic data)" if report.synthetic else ""
        console.print(f"{report.verdict.level}, {report.gate}{note}", style="bold")
        console.print(report.verdict.statement)
    for path in found["files"]:
        console.print(path, soft_wrap=True)

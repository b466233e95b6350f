"""``recsec audit``: a plan of attacks, from the first query to the verdict."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.shared.common import (
    SOURCES,
    AnswersOfOption,
    AuthorisedOption,
    JsonOption,
    QuietOption,
    SameAnswersOption,
)
from recsec.cli.shared.output import emit, progress, resumable
from recsec.cli.shared.reading import KnownDataOption
from recsec.cli.shared.views import announce, view_of, warn
from recsec.errors import UsageError
from recsec.sources import offered

if TYPE_CHECKING:
    from recsec.reports import Report

__all__ = ["run"]

INIT = "init"
DEFAULT_PLAN = Path("audit.toml")


def run(
    plan: Annotated[
        str,
        typer.Argument(metavar="PLAN", help="A plan file, or the word init.", show_default=False),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="With init: where to write; by default audit.toml."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The run directory; interrupted, the same command continues there.",
        ),
    ] = None,
    gate: Annotated[
        Path | None,
        typer.Option("--gate", metavar="FILE", help="Thresholds that override those of the plan."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help=f"With init: the recommender that the plan is for: {SOURCES}. With photos an "
            f"encoder or a visual search: {offered('evasion')}.",
        ),
    ] = None,
    data: KnownDataOption = None,
    authorised: AuthorisedOption = False,
    answers_of: AnswersOfOption = None,
    same_answers: SameAnswersOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a plan of attacks and write the report.

    A plan names what is attacked: a recommender behind a top-k API ([target], [[extraction]]), a
    visual recommender and its photos ([visual], [[evasion]]), or both. "recsec audit init [FILE]"
    writes a commented plan that runs unchanged; with --model and --data it fits that recommender,
    and nothing is asked. The report is report.html in the run directory,
    beside report.json, junit.xml and sarif.json. Interrupted or killed at any point, the same
    command continues; of an API or a function only what was under way is asked again, and counted.
    As long as there is no report, a corrected plan continues too, with the answers that it has in
    common. Exit code 1 if a gate fails, 3 if the target failed in all cells, 4
    if cells could not be measured or the evidence does not decide.
    """
    if plan == INIT:
        _init(file or DEFAULT_PLAN, model, data, authorised=authorised, json=json)
        return
    if model is not None or data is not None:
        raise UsageError(
            "--model and --data belong to init; a plan names its own",
            hint="recsec audit init FILE --model MODEL --data NAME",
        )
    if file is not None:
        raise UsageError(f"unexpected {str(file)!r}", hint="recsec audit PLAN --out DIR")
    if out is None:
        raise UsageError("missing --out: where to?", hint=f"recsec audit {plan} --out DIR")
    from recsec.library.audits import run_audit
    from recsec.reports import parts_of

    command = shlex.join(["recsec", *sys.argv[1:]])
    resumable(command)
    with progress() as report:
        found = run_audit(
            plan,
            out,
            gate=gate,
            command=command,
            authorised=authorised,
            answers_of=answers_of,
            same_answers=same_answers,
            announce=announce,
            progress=report,
        ).report
    result: dict[str, Any] = {
        "run": str(out),
        "report": str(out / "report.html"),
        "synthetic": found.synthetic,
        "verdict": found.verdict.model_dump(mode="json"),
    }
    for threat, part in parts_of(found):
        result |= view_of(threat).flat(part)
    warn(found)
    emit(result, lambda console: _show(console, found, out), json=json)
    from recsec.audit import exit_code

    cases = [case for threat, part in parts_of(found) for case in threat.cases(part)]
    code = exit_code(found.verdict, cases)
    if code:
        raise typer.Exit(code)


def _init(path: Path, model: str | None, data: str | None, *, authorised: bool, json: bool) -> None:
    from recsec.audit.template import plan_for, template

    if model is None and data is not None:
        raise UsageError("--data needs --model", hint="recsec audit init --model DIR --data NAME")
    if path.exists():
        raise UsageError(f"{path} exists", hint="recsec audit init OTHER-FILE")
    text = template() if model is None else plan_for(model, data, authorised=authorised)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    step = f"recsec audit {shlex.quote(str(path))} --out runs/first-audit"

    def show(console: Console) -> None:
        console.print(f"wrote {path}", soft_wrap=True)
        console.print(f"next: {step}", soft_wrap=True)

    emit({"plan": str(path), "next": step}, show, json=json)


def _show(console: Console, found: Report, out: Path) -> None:
    from recsec.reports import parts_of

    for threat, part in parts_of(found):
        view_of(threat).show(console, part)
    verdict = found.verdict
    data = " (made-up data: no evidence about a real system)" if found.synthetic else ""
    console.print(f"{verdict.level}, {found.gate}{data}", style="bold")
    console.print(verdict.statement)
    console.print(f"report: {out / 'report.html'}", soft_wrap=True)

"""``recsec extract``: one attack with one budget, measured."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.sequential.view import (
    count_json,
    metrics_json,
    show_activity,
    show_checks,
    show_rows,
)
from recsec.cli.shared.common import (
    AnswersOfOption,
    AuthorisedOption,
    ColumnsOption,
    ConfigOption,
    DataOption,
    DeviceOption,
    DropBadOption,
    GuardOption,
    JsonOption,
    ModelOption,
    OutOption,
    QuietOption,
    SameAnswersOption,
    SeedOption,
    SepOption,
    SetOption,
    TimeFormatOption,
    given_settings,
)
from recsec.cli.shared.output import emit, progress, resumable
from recsec.cli.shared.reading import CatalogOption, FiltersOption, reading_of_options
from recsec.cli.shared.views import announce, warn
from recsec.errors import EvidenceIncomplete, TargetError

if TYPE_CHECKING:
    from recsec.reports import Extraction

__all__ = ["run"]


def run(
    model: ModelOption,
    out: OutOption,
    data: DataOption = None,
    policy: Annotated[
        str,
        typer.Option(
            "--policy", metavar="P", help="How the thief chooses queries: recsec list policies."
        ),
    ] = "mixed",
    k: Annotated[int, typer.Option("--k", min=1, help="List length asked for.")] = 10,
    calls: Annotated[
        int, typer.Option("--calls", min=1, help="How many API calls the thief may make.")
    ] = 10_000,
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
    seed: SeedOption = 0,
    surrogate: Annotated[
        str, typer.Option("--surrogate", help="Architecture of the copy.")
    ] = "sasrec",
    adaptive: Annotated[
        str | None,
        typer.Option(
            "--adaptive",
            metavar="SWITCHES",
            help="What the thief does about defenses: set-only,human-like,accounts=10,...",
        ),
    ] = None,
    guard: GuardOption = None,
    twins: Annotated[
        int,
        typer.Option(
            "--twins", min=0, max=10, help="Independent models to train, to compare the copy with."
        ),
    ] = 1,
    users: Annotated[
        int | None,
        typer.Option("--users", min=2, help="Measure on so many users only."),
    ] = None,
    set_: SetOption = None,
    config: ConfigOption = None,
    device: DeviceOption = "auto",
    authorised: AuthorisedOption = False,
    answers_of: AnswersOfOption = None,
    same_answers: SameAnswersOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy a recommender through its top-k API and measure how good the copy is.

    An audit of one cell: the run directory holds the transcript, the surrogate and the report.
    With --guard, fidelity is measured against the answers that the guards give.
    --set takes length, sessions, loss, leak, proxy, policy_settings.KEY and surrogate_settings.KEY;
    leak is the share of users whose histories the thief has: they are left out of the measurement;
    proxy another data set, such as ml-100k, whose histories he has, its items mapped by title.
    --adaptive takes set-only, list-flip, repeat=N, human-like, acceptance=C, bias=ETA, wary=SHARE,
    doubt=SHARE, accounts=A, benign=SHARE and one-call. Interrupted or killed at any point, the same
    command continues; of an API or a function only what was under way is asked again, and counted.
    """
    from recsec.library.audits import extract_plan, run_audit
    from recsec.reports import ExtractionReport

    plan = extract_plan(
        model,
        data,
        out,
        policy=policy,
        k=k,
        calls=calls,
        seed=seed,
        surrogate=surrogate,
        adaptive=[] if adaptive is None else adaptive.split(","),
        guards=guard or [],
        twins=twins,
        users=users,
        reading=reading_of_options(columns),
        settings=given_settings(config, set_),
        device=device,
    )
    command = shlex.join(["recsec", *sys.argv[1:]])
    resumable(command)
    with progress() as report:
        found = run_audit(
            plan,
            out,
            command=command,
            authorised=authorised,
            answers_of=answers_of,
            same_answers=same_answers,
            announce=announce,
            progress=report,
        )
    part = found.report.of(ExtractionReport).extraction
    if part is None:
        raise EvidenceIncomplete("the report has no extraction part")
    _complain(part)
    warn(found.report)
    emit(_result(part, out), lambda console: _show(console, part, out), json=json)


def _complain(found: Extraction) -> None:
    """An attack that could not be measured is an error here, not a row."""
    cell = found.cells[0]
    if cell.status == "ok":
        return
    kind, _, text = (cell.error or "").partition(": ")
    hint = "remove the cause; the same command continues where this one stopped"
    if kind in ("TargetError", "PartialAnswer", "BudgetExhausted"):
        raise TargetError(text, hint=hint)
    raise EvidenceIncomplete(f"the attack could not be measured: {cell.error}", hint=hint)


def _result(found: Extraction, out: Path) -> dict[str, Any]:
    cell = found.cells[0]
    return {
        "run": str(out),
        "report": str(out / "report.html"),
        "synthetic": found.data.synthetic,
        "policy": cell.policy,
        "k": cell.k,
        "calls": count_json(cell.calls),
        "accounts": cell.accounts,
        "surrogate": cell.surrogate,
        "loss": cell.loss,
        "seed": cell.seed,
        **metrics_json(found, cell.metrics),
        "level": found.verdict.level,
        "protocol": found.protocol.statement,
    }


def _show(console: Console, found: Extraction, out: Path) -> None:
    show_rows(console, found)
    show_activity(console, found)
    show_checks(console, found)
    console.print(found.verdict.statement)
    console.print(f"surrogate: {out / 'surrogate' / found.cells[0].id}", soft_wrap=True)
    console.print(f"report: {out / 'report.html'}", soft_wrap=True)

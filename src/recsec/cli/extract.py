"""``recsec extract``: one attack with one budget, measured."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.audit import announce, count_json, metrics_json, show_rows
from recsec.cli.common import (
    ColumnsOption,
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    OutOption,
    QuietOption,
    SeedOption,
    SetOption,
    parse_columns,
    read_toml,
)
from recsec.cli.output import emit, parse_settings, progress, resumable
from recsec.errors import ConfigError, EvidenceIncomplete, TargetError

if TYPE_CHECKING:
    from recsec.audit import Plan
    from recsec.reports import Report

__all__ = ["run"]

SETTINGS = ("policy_settings", "length", "sessions", "surrogate_settings", "loss")


def run(
    model: ModelOption,
    data: DataOption,
    out: OutOption,
    policy: Annotated[
        str, typer.Option("--policy", metavar="P", help="Which queries: recsec list policies.")
    ] = "mixed",
    k: Annotated[int, typer.Option("--k", min=1, help="List length asked for.")] = 10,
    calls: Annotated[int, typer.Option("--calls", min=1, help="The budget.")] = 10_000,
    columns: ColumnsOption = None,
    seed: SeedOption = 0,
    surrogate: Annotated[
        str, typer.Option("--surrogate", help="Architecture of the copy.")
    ] = "sasrec",
    twins: Annotated[
        int, typer.Option("--twins", min=0, max=10, help="Independent models to train for scale.")
    ] = 1,
    users: Annotated[
        int | None,
        typer.Option("--users", min=2, help="Measure on so many users only."),
    ] = None,
    set_: SetOption = None,
    config: ConfigOption = None,
    device: DeviceOption = "auto",
    authorised: Annotated[
        bool,
        typer.Option(
            "--i-am-authorised", help="The owner of a target beyond this machine agreed to this."
        ),
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy a recommender through its top-k API and measure how good the copy is.

    An audit of one cell: the run directory holds the transcript, the surrogate and the report.
    --set takes length, sessions, loss, policy_settings.KEY and surrogate_settings.KEY. Interrupted
    or killed at any point, the same command continues and asks no answered query again.
    """
    from recsec.audit import parse_plan, run_audit

    settings = {**(read_toml(config) if config is not None else {}), **parse_settings(set_ or [])}
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise ConfigError(
            f"there is no setting {', '.join(unknown)}", hint=f"settings: {', '.join(SETTINGS)}"
        )
    if "policy_settings" in settings:
        settings["policy_settings"] = {policy: settings["policy_settings"]}
    values = {
        "target": {
            "model": model,
            "data": data,
            "columns": parse_columns(columns),
            "twins": twins,
        },
        "extraction": {
            "policies": policy,
            "k": k,
            "calls": calls,
            "seeds": seed,
            "surrogate": surrogate,
            **settings,
        },
        "evaluation": {"users": users},
        "gate": {"fail_at": "never"},
        "engine": {"device": device},
    }
    plan: Plan = parse_plan(values, where="extract")
    command = shlex.join(["recsec", *sys.argv[1:]])
    resumable(command)
    with progress() as report:
        found = run_audit(
            plan,
            out,
            command=command,
            authorised=authorised,
            announce=announce,
            progress=report,
        )
    _complain(found)
    emit(_result(found, out), lambda console: _show(console, found, out), json=json)


def _complain(found: Report) -> None:
    """An attack that could not be measured is an error here, not a row."""
    cell = found.cells[0]
    if cell.status == "ok":
        return
    kind, _, text = (cell.error or "").partition(": ")
    hint = "remove the cause; the same command continues where this one stopped"
    if kind in ("TargetError", "PartialAnswer", "BudgetExhausted"):
        raise TargetError(text, hint=hint)
    raise EvidenceIncomplete(f"the attack could not be measured: {cell.error}", hint=hint)


def _result(found: Report, out: Path) -> dict[str, Any]:
    cell = found.cells[0]
    return {
        "run": str(out),
        "report": str(out / "report.html"),
        "synthetic": found.synthetic,
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


def _show(console: Console, found: Report, out: Path) -> None:
    show_rows(console, found)
    console.print(found.verdict.statement, markup=False)
    console.print(f"surrogate: {out / 'surrogate' / found.cells[0].id}", soft_wrap=True)
    console.print(f"report: {out / 'report.html'}", soft_wrap=True)

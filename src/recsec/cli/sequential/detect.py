"""``recsec detect``: fit detectors on honest traffic, and find the thieves in a log."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from recsec.cli.shared.common import (
    AuthorisedOption,
    ColumnsOption,
    ConfigOption,
    DataOption,
    DropBadOption,
    JsonOption,
    LawOption,
    ModelOption,
    OutOption,
    QuietOption,
    SeedOption,
    SepOption,
    SetOption,
    TimeFormatOption,
    dialect_of_tables,
    fit_config,
    parse_columns,
    read_toml,
)
from recsec.cli.shared.output import emit, note, progress, resumable
from recsec.errors import EXIT_GATE_FAILED
from recsec.settings import parse_settings

if TYPE_CHECKING:
    import polars as pl


__all__ = ["app"]

SHOWN = 20
"""Accounts shown on a console."""


class _LogByDefault(TyperGroup):
    """``recsec detect LOG`` is ``recsec detect log LOG``."""

    default = "log"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "--debug"):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_LogByDefault, add_completion=False, rich_markup_mode=None, no_args_is_help=True
)


@app.callback()
def detect() -> None:
    """Fit detectors on honest traffic, and find the thieves in a log.

    recsec detect LOG --detectors DIR is short for recsec detect log LOG.
    """


@app.command("fit")
def fit(
    model: ModelOption,
    data: DataOption,
    out: OutOption,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            "--detector",
            metavar="KEY",
            help="Which (recsec list detectors); repeatable; KEY-raw is the form on raw queries.",
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="List length of the API.")] = 10,
    queries: Annotated[
        int, typer.Option(min=1, help="Queries per honest account; fits up to so many.")
    ] = 200,
    users: Annotated[
        int | None, typer.Option(min=20, help="At most so many users in each group.")
    ] = None,
    law: LawOption = "trivago",
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    seed: SeedOption = 0,
    set_: SetOption = None,
    config: ConfigOption = None,
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn what honest accounts look like: users replayed under click laws and request patterns.

    People follow lists as --law says, never, or in three choices of four. Users are split into
    three groups: one fits, one calibrates, one is left for tests. --set takes laws, patterns,
    combined and detectors.KEY.SETTING.
    """
    from recsec.cli.shared.common import open_data
    from recsec.detection import FitConfig, laws_around
    from recsec.detection.watch import TENSORS
    from recsec.library.thieves import fit_detectors
    from recsec.traffic import click_law

    values: dict[str, Any] = {"k": k, "queries": queries, "users": users}
    values |= read_toml(config) if config is not None else {}
    given = parse_settings(set_ or [])
    chosen: dict[str, Any] = {key: {} for key in detector or FitConfig.model_validate({}).detectors}
    settings = values.pop("detectors", {}) | given.pop("detectors", {})
    values |= {**given, "detectors": {**chosen, **settings}}
    if "laws" not in values:
        values["laws"] = laws_around(click_law(law, int(values["k"])))
    if detector and "combined" not in values:
        values["combined"] = tuple(values["detectors"])
    plan = fit_config(FitConfig, values, where="settings of detect fit")
    dataset = open_data(data, columns)
    complete = (out / TENSORS).exists()
    resumable(shlex.join(["recsec", *sys.argv[1:]]))
    with progress() as report:
        found = fit_detectors(
            model,
            dataset,
            out,
            plan=plan,
            seed=seed,
            name=data,
            authorised=authorised,
            progress=report,
        )
    if complete:
        note(f"{out} holds these detectors already")
    result = {
        "detectors": str(out),
        "fitted": sorted(found.detectors),
        "combined": sorted(found.scales),
        "accounts": str(out / "accounts.parquet"),
        "protocol": found.protocol,
    }
    emit(result, lambda console: _show_fit(console, result), json=json)


def _show_fit(console: Console, result: dict[str, Any]) -> None:
    protocol = result["protocol"]
    users = ", ".join(f"{name} {count:,}" for name, count in protocol["users"].items())
    for name, value in {
        "detectors": result["detectors"],
        "fitted": ", ".join(result["fitted"]),
        "combined": ", ".join(result["combined"]),
        "users": users,
        "laws": f"{', '.join(protocol['laws'])} (not measured on these lists)",
        "patterns": ", ".join(protocol["patterns"]),
        "times": protocol["times"],
    }.items():
        console.print(f"{name:<11}{value}", soft_wrap=True)


@app.command("log")
def find(
    log: Annotated[
        Path,
        typer.Argument(
            metavar="LOG",
            help="A table (Parquet, JSON Lines, CSV), or a folder such as run/transcript/X.",
        ),
    ],
    detectors: Annotated[
        Path, typer.Option("--detectors", metavar="DIR", help="What recsec detect fit wrote.")
    ],
    level: Annotated[
        float, typer.Option(min=0, max=1, help="Share of false flags allowed among the flagged.")
    ] = 0.05,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", metavar="FILE", help="Keep the state here; a longer log goes on from it."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the accounts: .csv, .jsonl, .parquet."),
    ] = None,
    fail_on: Annotated[
        Literal["flagged"] | None,
        typer.Option("--fail-on", help="flagged: exit 1 if an account is flagged."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="account=A,items=I,..",
            help="Columns of the log, where they have other names.",
        ),
    ] = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find the thieves in a query log. Exits 0 whether or not there are any, but for --fail-on.

    One p-value per account; flagged by Benjamini and Hochberg's rule, so that about --level of the
    flagged are honest. Accounts with fewer queries than the first checkpoint get p-value 1.
    """
    from recsec.data.sources.tables import check_suffix, write_table
    from recsec.library.thieves import detect as judged

    if out is not None:
        check_suffix(out)
    with progress() as report:
        found = judged(
            log,
            detectors,
            level=level,
            state=state,
            columns=parse_columns(columns),
            dialect=dialect_of_tables(),
            progress=report,
        )
    for fault in found.faults:
        note(f"log: {fault}")
    table = found.accounts
    if out is not None:
        write_table(out, table)
    result = {
        "log": str(log),
        "queries": found.queries,
        "flagged": found.flagged,
        "accounts": table.to_dicts(),
        "faults": list(found.faults),
        "protocol": found.protocol,
    }
    emit(result, lambda console: _show(console, table, result), json=json)
    if fail_on is not None and result["flagged"]:
        raise typer.Exit(EXIT_GATE_FAILED)


def _show(console: Console, table: pl.DataFrame, result: dict[str, Any]) -> None:
    console.print(
        f"{result['flagged']:,} of {len(table):,} accounts flagged "
        f"(false discovery rate {result['protocol']['level']:g}); {result['queries']:,} queries"
    )
    rows = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("account", "queries", "p-value", "most suspicious", "cluster", "flagged"):
        rows.add_column(name, justify="right" if name in ("queries", "p-value") else "left")
    for row in table.head(SHOWN).iter_rows(named=True):
        rows.add_row(
            row["id"],
            f"{row['queries']:,}",
            f"{row['p_value']:.2g}",
            row["view"],
            "" if row["cluster"] is None else str(row["cluster"]),
            "yes" if row["flagged"] else "",
        )
    console.print(rows)
    if len(table) > SHOWN:
        console.print(f"... and {len(table) - SHOWN:,} more: --json or --out for all")

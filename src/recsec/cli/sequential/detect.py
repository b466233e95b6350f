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
from recsec.cli.shared.reading import CatalogOption, FiltersOption
from recsec.cli.shared.tables import plain_table
from recsec.errors import EXIT_GATE_FAILED, EvidenceIncomplete, UsageError
from recsec.settings import parse_settings
from recsec.sources import is_folder

if TYPE_CHECKING:
    import polars as pl

    from recsec.detection import Explained

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


DetectorsOption = Annotated[
    Path, typer.Option("--detectors", metavar="DIR", help="What recsec detect fit wrote.")
]
LogColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="account=A,items=I,..",
        help="Columns of the log, where they have other names.",
    ),
]


@app.command("fit")
def fit(
    model: ModelOption,
    out: OutOption,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME", help="Whose users are replayed as honest accounts."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="LOG",
            help="Instead of --data: your own honest traffic, a query log (Parquet, JSON Lines, "
            "CSV).",
        ),
    ] = None,
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
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
    seed: SeedOption = 0,
    set_: SetOption = None,
    config: ConfigOption = None,
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn what honest accounts look like, from your own log or from users who are replayed.

    With --log, accounts of a query log without thieves. With --data, users replayed under click
    laws and request patterns: people follow lists as --law says, never, or in three choices of
    four. Accounts are split into three groups: one fits, one calibrates, one is left for tests.
    --set takes laws, patterns, combined and detectors.KEY.SETTING.
    """
    from recsec.cli.shared.reading import open_data, told_name
    from recsec.detection import FitConfig, laws_around
    from recsec.detection.watch import TENSORS
    from recsec.library.thieves import fit_detectors
    from recsec.traffic import click_law

    if (data is None and not is_folder(model)) if log is None else data is not None:
        raise UsageError(
            "detectors are fitted to one of --data and --log",
            hint="--log honest.parquet, or --data ml-1m",
        )
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
    source = log if log is not None else open_data(data, columns, model=model)
    complete = (out / TENSORS).exists()
    resumable(shlex.join(["recsec", *sys.argv[1:]]))
    with progress() as report:
        found = fit_detectors(
            model,
            source,
            out,
            plan=plan,
            seed=seed,
            name=None if isinstance(source, Path) else told_name(data, source),
            authorised=authorised,
            columns=parse_columns(columns) if log is not None else None,
            dialect=dialect_of_tables(),
            progress=report,
        )
    for fault in found.protocol.get("faults", ()):
        note(f"log: {fault}")
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
        "accounts": users,
        "laws": f"{', '.join(protocol['laws'])} (not measured on these lists)",
        "patterns": ", ".join(protocol["patterns"]),
        "traffic": protocol["honest_traffic"],
        "times": protocol["times"],
    }.items():
        if name not in protocol or protocol[name]:
            console.print(f"{name:<11}{value}", soft_wrap=True)


@app.command("explain")
def why(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="As the log calls it.")],
    log: Annotated[Path, typer.Argument(metavar="LOG", help="As for recsec detect log.")],
    detectors: DetectorsOption,
    columns: LogColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show an account's queries and what each detector sees in them; --json has every query."""
    from dataclasses import asdict

    from recsec.library.thieves import explain

    found = explain(
        account,
        log,
        detectors,
        columns=parse_columns(columns),
        dialect=dialect_of_tables(),
    )
    emit(asdict(found), lambda console: _show_account(console, found), json=json)


def _show_account(console: Console, found: Explained) -> None:
    console.print(
        f"{found.account}: {found.queries:,} queries, {found.judged:,} of which repeat none"
    )
    if not found.checkpoint:
        console.print("too few to be judged")
        return
    share = f"{found.p_value:.2g}"
    console.print(
        f"p-value {share}: of honest accounts after {found.checkpoint} queries, a share of at most "
        f"{share} looks as suspicious as this one",
        soft_wrap=True,
    )
    if found.asks is not None:
        console.print(
            f"nobody in the fit asks like this: {found.asks}. Where many accounts ask so, it is a "
            "client that the fit doesn't know, and recsec detect withholds their p-values",
            soft_wrap=True,
        )
    table = plain_table("Evidence", ["detector", "score", "honest: median", "99 %", "p-value"])
    for view in found.views:
        name = view["detector"] + ("" if view["combined"] else " (not combined)")
        numbers = (view["score"], view["median"], view["top"])
        table.add_row(
            name,
            *("-" if one is None else f"{one:.3g}" for one in numbers),
            f"{view['p_value']:.2g}",
        )
    console.print(table)
    for view in found.views:
        console.print(f"{view['detector']}: {view['words']}", soft_wrap=True)
    rows = plain_table("Queries", ["", "", "newest item", "rank in the last list", "surprise"])
    for step in found.steps[:SHOWN]:
        rank = {None: "no list", 0: "not listed"}.get(step["rank"], str(step["rank"]))
        surprise = "" if step["surprise"] is None else f"{step['surprise']:.1f} nats"
        rows.add_row(str(step["query"]), step["step"], str(step["item"] or ""), rank, surprise)
    console.print(rows)
    if found.queries > SHOWN:
        console.print(f"... and {found.queries - SHOWN:,} more: --json for all")


@app.command("log")
def find(
    log: Annotated[
        str,
        typer.Argument(
            metavar="LOG",
            help="A table (Parquet, JSON Lines, CSV), a folder such as run/transcript/X, or "
            "redis://HOST:6379/0?stream=NAME, kafka://HOST:9092?topic=NAME.",
        ),
    ],
    detectors: DetectorsOption,
    level: Annotated[
        float, typer.Option(min=0, max=1, help="Share of false flags allowed among the flagged.")
    ] = 0.05,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", metavar="FILE", help="Keep the state here; a longer log goes on from it."
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            max=256,
            help="Share the accounts among so many; --state is then a file for each.",
        ),
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the accounts: .csv, .jsonl, .parquet."),
    ] = None,
    fail_on: Annotated[
        Literal["flagged"] | None,
        typer.Option(
            "--fail-on",
            help="flagged: exit 1 if an account is flagged; if none is but p-values are withheld, "
            "exit 4.",
        ),
    ] = None,
    columns: LogColumnsOption = None,
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
            processes=processes,
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
        "log": log.rpartition("@")[2] if "://" in log else log,
        "queries": found.queries,
        "flagged": found.flagged,
        "withheld": found.withheld,
        "accounts": table.to_dicts(),
        "faults": list(found.faults),
        "protocol": found.protocol,
    }
    emit(result, lambda console: _show(console, table, result), json=json)
    if found.withheld:
        note(
            f"{found.withheld:,} of {len(table):,} accounts ask in a way that the fit doesn't "
            "know; their p-values are withheld. If these are your own clients, fit on your own "
            "traffic: recsec detect fit --log"
        )
    if fail_on is not None and (found.flagged or found.withheld):
        raise typer.Exit(EXIT_GATE_FAILED if found.flagged else EvidenceIncomplete.exit_code)


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
            "withheld" if row["p_value"] is None else f"{row['p_value']:.2g}",
            row["view"] if row["withheld"] is None else row["withheld"],
            "" if row["cluster"] is None else str(row["cluster"]),
            "yes" if row["flagged"] else "",
        )
    console.print(rows)
    if len(table) > SHOWN:
        console.print(f"... and {len(table) - SHOWN:,} more: --json or --out for all")

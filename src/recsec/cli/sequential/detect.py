"""``recsec detect``: fit detectors on honest traffic, and find the thieves in a log."""

from __future__ import annotations

import shlex
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from recsec.cli.shared.common import (
    CheckpointOption,
    ColumnsOption,
    ConfigOption,
    DataOption,
    DropBadOption,
    JsonOption,
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
from recsec.errors import RunError
from recsec.settings import parse_settings

if TYPE_CHECKING:
    import polars as pl

    from recsec.detection import Fitted

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
    model: CheckpointOption,
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
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    seed: SeedOption = 0,
    set_: SetOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn what honest accounts look like: users replayed under assumed click laws.

    Users are split into three groups: one fits, one calibrates, one is left for tests. --set takes
    laws, combined and detectors.KEY.SETTING.
    """
    from recsec.cli.shared.common import open_data, open_recommender
    from recsec.detection import FitConfig, fit_detectors
    from recsec.rng import Streams
    from recsec.runs import atomic_write_bytes
    from recsec.runs.canonical import digest

    values: dict[str, Any] = {"k": k, "queries": queries, "users": users}
    values |= read_toml(config) if config is not None else {}
    given = parse_settings(set_ or [])
    chosen: dict[str, Any] = {key: {} for key in detector or FitConfig.model_validate({}).detectors}
    settings = values.pop("detectors", {}) | given.pop("detectors", {})
    values |= {**given, "detectors": {**chosen, **settings}}
    if detector and "combined" not in values:
        values["combined"] = tuple(values["detectors"])
    plan = fit_config(FitConfig, values, where="settings of detect fit")
    dataset = open_data(data, columns)
    recommender = open_recommender(model)
    request = digest(
        {
            "plan": plan.model_dump(mode="json"),
            "data": dataset.fingerprint,
            "model": sha256((Path(model) / "model.safetensors").read_bytes()).hexdigest(),
            "seed": seed,
        }
    )
    found = _earlier(out, request)
    if found is None:
        resumable(shlex.join(["recsec", *sys.argv[1:]]))
        times = dataset.interactions.table["time"].to_numpy() if dataset.times_are_real else None
        with progress() as report:
            found, table, _ = fit_detectors(
                recommender,
                dataset.sequences(),
                plan,
                streams=Streams(seed).child("detect"),
                snapshots=sorted(Path(model).glob("snapshots/*.safetensors")),
                times=times,
                progress=report,
            )
        found.protocol.update(data=data, model=model, request=request)
        out.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(out / "accounts.parquet", _parquet(table))
        found.save(out)
    else:
        note(f"{out} holds these detectors already")
    result = {
        "detectors": str(out),
        "fitted": sorted(found.detectors),
        "combined": sorted(found.scales),
        "accounts": str(out / "accounts.parquet"),
        "protocol": found.protocol,
    }
    emit(result, lambda console: _show_fit(console, result), json=json)


def _parquet(table: pl.DataFrame) -> bytes:
    import io

    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def _earlier(out: Path, request: str) -> Fitted | None:
    """The same detectors, if they are there; a folder with anything else is refused."""
    from recsec.detection.watch import PARTS, TENSORS, Fitted
    from recsec.runs import strangers

    others = strangers(out, known=(*PARTS, "accounts.parquet"))
    if not others and not (out / TENSORS).exists():
        return None  # new, or a fit that was killed
    found = None if others else Fitted.load(out)
    if found is None or found.protocol.get("request") != request:
        raise RunError(
            f"{out} holds something else ({', '.join(others[:3]) or 'other detectors'})",
            hint="use another --out, or remove that folder",
        )
    return found


def _show_fit(console: Console, result: dict[str, Any]) -> None:
    protocol = result["protocol"]
    users = ", ".join(f"{name} {count:,}" for name, count in protocol["users"].items())
    for name, value in {
        "detectors": result["detectors"],
        "fitted": ", ".join(result["fitted"]),
        "combined": ", ".join(result["combined"]),
        "users": users,
        "laws": f"{', '.join(protocol['laws'])} (assumed, not measured)",
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
    """Find the thieves in a query log. Exits 0 whether or not there are any.

    One p-value per account; flagged by Benjamini and Hochberg's rule, so that about --level of the
    flagged are honest. Accounts with fewer queries than the first checkpoint get p-value 1.
    """
    from recsec.data.sources.tables import check_suffix, write_table
    from recsec.detection import Fitted, follow_log, judge
    from recsec.traffic import read_log

    if out is not None:
        check_suffix(out)
    fitted = Fitted.load(detectors)
    found = read_log(
        log, fitted.catalog, columns=parse_columns(columns), dialect=dialect_of_tables()
    )
    for fault in found.faults:
        note(f"log: {fault}")
    with progress() as report:
        watch = follow_log(fitted, found, name=str(log), state=state, progress=report)
    table = judge(watch, found, level=level)
    if out is not None:
        write_table(out, table)
    result = {
        "log": str(log),
        "queries": len(found),
        "flagged": int(table["flagged"].sum()),
        "accounts": table.to_dicts(),
        "faults": list(found.faults),
        "protocol": {
            **fitted.protocol,
            "level": level,
            "rule": "Benjamini-Hochberg over accounts",
            "combined": sorted(fitted.scales),
        },
    }
    emit(result, lambda console: _show(console, table, result), json=json)


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

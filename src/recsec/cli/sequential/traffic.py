"""``recsec traffic fit`` measures people; ``recsec data traffic`` replays users as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from recsec.cli.shared.common import (
    AuthorisedOption,
    ColumnsOption,
    DropBadOption,
    JsonOption,
    LawOption,
    ModelOption,
    QuietOption,
    SeedOption,
    SepOption,
    TimeFormatOption,
)
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.shared.reading import CatalogOption, FiltersOption

__all__ = ["app", "make_traffic"]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def traffic() -> None:
    """Measure how people choose from lists and how they ask."""


@app.command("fit")
def fit(
    log: Annotated[
        str,
        typer.Argument(
            metavar="LOG",
            help="trivago, yoochoose, or a table with user and item; with session, time, device "
            "and shown (the list) where they are known.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Write the law here (JSON).")],
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="user=U,shown=L,..",
            help="Columns of the log, where they have other names.",
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Draw counted choices and the law (SVG)."),
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=2, help="Bootstrap resamples of users, for the intervals.")
    ] = 200,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure a click law and habits on a log; --law FILE of other commands takes the result.

    P(1) is free, rank r below it has weight r ** -eta. Without lists in the log there is no law,
    only habits: lengths of sessions, reloads, pauses.
    """
    from recsec.cli.shared.common import dialect_of_tables, parse_columns
    from recsec.reports.figures.clicks import clicks
    from recsec.rng import Streams
    from recsec.runs import atomic_write_bytes, atomic_write_text
    from recsec.traffic import LOGS, measure_people, read_events

    events = read_events(log, columns=parse_columns(columns), dialect=dialect_of_tables())
    with progress() as report:
        found = measure_people(
            events,
            name=log if log in LOGS else Path(log).name,
            terms=LOGS[log].license if log in LOGS else None,
            rng=Streams(seed).child("traffic").numpy("users"),
            resamples=resamples,
            progress=report,
        )
    atomic_write_bytes(out, (found.model_dump_json(indent=1) + "\n").encode())

    if figure is not None and found.laws:
        laws = {k: law.probabilities(k).tolist() for k, law in found.laws.items()}
        atomic_write_text(figure, clicks(found.shares, laws))
        note(f"figure: {figure}")
    elif figure is not None:
        note("no figure: no lists in this log")

    def render(console: Console) -> None:
        console.print(f"{found.users:,} users, {found.events:,} events")
        for name, one in found.estimates.items():
            span = "" if one.low is None else f" [{one.low:.3g}, {one.high:.3g}]"
            console.print(f"{name:<24}{one.value:.3g}{span}  n={one.n:,}", soft_wrap=True)
        if not found.laws:
            console.print("no lists in this log: no click law")
        if found.terms:
            console.print(f"terms: {found.terms}", soft_wrap=True)
        console.print(f"law: {out}", soft_wrap=True)

    emit({"law": str(out), **found.model_dump(mode="json")}, render, json=json)


def make_traffic(
    model: ModelOption,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="PATH", help="A folder, or a .parquet, .csv or .jsonl file."),
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Whose users are replayed; see recsec data list. Left out, a checkpoint's own.",
        ),
    ] = None,
    law: LawOption = "trivago",
    acceptance: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="c: share of items taken from the list served."),
    ] = None,
    bias: Annotated[
        float | None,
        typer.Option(min=0, help="eta: rank r is taken with weight r ** -eta, rank 1 too."),
    ] = None,
    restart: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of queries that begin a new history.")
    ] = 0.02,
    users: Annotated[
        int | None, typer.Option(min=1, help="So many users, drawn at random; all by default.")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="At most so many per account.")] = 100,
    k: Annotated[int, typer.Option("--k", min=1, help="List length.")] = 10,
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
    seed: SeedOption = 0,
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Replay users against a model and write the query log that its API would have kept.

    How people choose from lists was measured elsewhere (--law), or is assumed (--acceptance,
    --bias). Where the data has clock times the queries are in their order; else the log has order
    only, and says so.
    """
    import numpy as np

    from recsec.cli.shared.reading import open_data, told_name
    from recsec.library.opening import open_api
    from recsec.rng import Streams
    from recsec.traffic import click_law, honest_log, write_log

    dataset = open_data(name, columns, model=model)
    target = open_api(model, dataset, authorised=authorised)
    assumed = {"acceptance": acceptance, "bias": bias}
    given = {name: value for name, value in assumed.items() if value is not None}
    clicks = click_law(law, k).model_copy(update={**given, "restart": restart})
    if bias is not None:
        clicks = clicks.model_copy(update={"first": None})
    sequences, streams = dataset.sequences(), Streams(seed).child("traffic")
    chosen = np.arange(len(sequences))
    if users is not None and users < len(chosen):
        chosen = np.sort(streams.numpy("users").choice(chosen, size=users, replace=False))
    times = dataset.interactions.table["time"].to_numpy() if dataset.times_are_real else None
    with progress() as report:
        log = honest_log(
            target,
            sequences,
            chosen,
            clicks,
            queries=queries,
            k=k,
            rng=streams.numpy("clicks"),
            times=times,
            progress=report,
        )
    path = write_log(out, log)
    result = {
        "path": str(path),
        "data": told_name(name, dataset),
        "accounts": len(chosen),
        "queries": len(log),
        "k": k,
        "times": "order only" if times is None else "clock times",
        "law": clicks.label,
        "measured_on": None if given else law,
        "clicks": clicks.model_dump(),
    }

    def render(console: Console) -> None:
        for key in ("path", "accounts", "queries", "times"):
            console.print(f"{key:<10}{result[key]}", soft_wrap=True)
        origin = "assumed, not measured" if given else f"measured on {law}, not here"
        console.print(f"{'law':<10}{clicks.label} ({origin})", soft_wrap=True)

    emit(result, render, json=json)

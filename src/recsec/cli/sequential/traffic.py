"""``recsec data traffic``: a log of honest users under an assumed click law."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from recsec.cli.shared.common import (
    CheckpointOption,
    ColumnsOption,
    DropBadOption,
    JsonOption,
    QuietOption,
    SeedOption,
    SepOption,
    TimeFormatOption,
)
from recsec.cli.shared.output import emit, progress

__all__ = ["make_traffic"]


def make_traffic(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Whose users are replayed; see recsec data list."),
    ],
    model: CheckpointOption,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="PATH", help="A folder, or a .parquet, .csv or .jsonl file."),
    ],
    acceptance: Annotated[
        float, typer.Option(min=0, max=1, help="c: share of items taken from the list served.")
    ] = 0.25,
    bias: Annotated[
        float, typer.Option(min=0, help="eta: rank r is taken with weight r ** -eta.")
    ] = 1.0,
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
    seed: SeedOption = 0,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Replay users against a model and write the query log that its API would have kept.

    How people choose from lists is assumed (acceptance, bias), never measured. Where the data has
    clock times the queries are in their order; else the log has order only, and says so.
    """
    import numpy as np

    from recsec.cli.shared.common import open_data
    from recsec.library.opening import open_checkpoint_folder
    from recsec.rng import Streams
    from recsec.targets import LocalTarget
    from recsec.traffic import ClickLaw, honest_log, write_log

    dataset = open_data(name, columns)
    recommender = open_checkpoint_folder(model)
    law = ClickLaw(acceptance=acceptance, bias=bias, restart=restart)
    sequences, streams = dataset.sequences(), Streams(seed).child("traffic")
    chosen = np.arange(len(sequences))
    if users is not None and users < len(chosen):
        chosen = np.sort(streams.numpy("users").choice(chosen, size=users, replace=False))
    times = dataset.interactions.table["time"].to_numpy() if dataset.times_are_real else None
    with progress() as report:
        log = honest_log(
            LocalTarget(recommender),
            sequences,
            chosen,
            law,
            queries=queries,
            k=k,
            rng=streams.numpy("clicks"),
            times=times,
            progress=report,
        )
    path = write_log(out, log)
    result = {
        "path": str(path),
        "data": name,
        "accounts": len(chosen),
        "queries": len(log),
        "k": k,
        "times": "order only" if times is None else "clock times",
        "law": law.label,
        "assumed": law.model_dump(),
    }

    def render(console: Console) -> None:
        for key in ("path", "accounts", "queries", "times"):
            console.print(f"{key:<10}{result[key]}", soft_wrap=True)
        console.print(f"{'law':<10}{law.label} (assumed, not measured)")

    emit(result, render, json=json)

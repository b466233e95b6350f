"""``recsec train``: a recommender into a checkpoint folder."""

from __future__ import annotations

from typing import Annotated

import typer

from recsec.cli.sequential.train import train_sequences
from recsec.cli.shared.common import (
    AnyDataOption,
    ColumnsOption,
    ConfigOption,
    DeviceOption,
    DropBadOption,
    JsonOption,
    OutOption,
    PrecisionOption,
    QuietOption,
    SeedOption,
    SepOption,
    SetOption,
    TimeFormatOption,
)
from recsec.cli.shared.reading import CatalogOption, FiltersOption
from recsec.cli.shared.training import TrainingOptions
from recsec.cli.visual.train import train_photos
from recsec.errors import UsageError

__all__ = ["run"]


def run(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="One of recsec list models; for photos one of recsec list encoders.",
            show_default=False,
        ),
    ],
    data: AnyDataOption,
    out: OutOption,
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
    seed: SeedOption = 0,
    set_: SetOption = None,
    config: ConfigOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    snapshots: Annotated[
        int, typer.Option("--snapshots", min=0, help="Also keep this many evenly spaced epochs.")
    ] = 0,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a recommender and keep it in a checkpoint folder.

    The last item of every user is left for the test and never seen here; the one before it
    chooses the best epoch. Of photos, a fifth of every category is held out, a twentieth chooses
    the epoch. Interrupted at any point, the same command continues.
    """
    from recsec.data import is_photos
    from recsec.registry import registry

    options = TrainingOptions(
        data=data,
        out=out,
        columns=columns,
        seed=seed,
        set_=set_,
        config=config,
        device=device,
        precision=precision,
        snapshots=snapshots,
        json=json,
    )
    if model in registry("encoders").keys():  # noqa: SIM118 - not a dictionary
        train_photos(model, options)
        return
    if is_photos(data):
        raise UsageError(
            f"{model} learns from interactions; --data {data} names photos",
            hint=f"recsec train encoder --data {data} --out {out}",
        )
    train_sequences(model, options)

"""``recsec harden``: a checkpoint in, a checkpoint that resists attacks out."""

from __future__ import annotations

from typing import Annotated

import typer

from recsec.cli.sequential.harden import harden_sequences
from recsec.cli.shared.common import (
    CheckpointOption,
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
from recsec.cli.shared.reading import CatalogOption, FiltersOption, KnownDataOption
from recsec.cli.shared.training import TrainingOptions
from recsec.cli.visual.harden import harden_photos

__all__ = ["run"]


def run(
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="One of: recsec list hardenings.")
    ],
    model: CheckpointOption,
    out: OutOption,
    data: KnownDataOption = None,
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
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a checkpoint further so that it resists attacks, into a checkpoint folder.

    The result is an ordinary model of the same architecture. gro and honeypot harden recommenders
    of sequences and print how they rank validation items before and after; the others harden
    encoders. Of those it prints retrieval and accuracy on the
    held-out photos before and after, and the cost in clean epochs: one is trained and thrown away
    to measure it. Interrupted at any point, the same command continues.
    """
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
        json=json,
    )
    if registry("hardenings").get(method).hardens == "recommender":
        harden_sequences(method, model, options)
    else:
        harden_photos(method, model, options)

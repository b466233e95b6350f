"""``recsec harden``: a checkpoint in, a checkpoint that resists attacks out."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.shared.answering import interval, plain_table
from recsec.cli.shared.common import (
    ColumnsOption,
    ConfigOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    OutOption,
    PrecisionOption,
    QuietOption,
    SeedOption,
    SetOption,
    build_config,
)
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.visual.opening import (
    checkpoint_folder,
    open_encoder,
    open_split,
    refuse_columns,
    warn_of_other_data,
)

if TYPE_CHECKING:
    from recsec.data import PhotoSplit
    from recsec.models import Encoder
    from recsec.stats import Estimate
    from recsec.types import Progress

__all__ = ["run"]

SHOWN = ("accuracy", "precision@1", "precision@10", "map@r")


def run(
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="One of: recsec list hardenings.")
    ],
    model: ModelOption,
    data: Annotated[
        str, typer.Option("--data", metavar="NAME", help="Photos: fashion, photos:items=600, ...")
    ],
    out: OutOption,
    columns: ColumnsOption = None,
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
    from recsec import hardening, models
    from recsec.cli.sequential.harden import harden_sequences
    from recsec.cli.train import check_folder, start
    from recsec.registry import registry

    if registry("hardenings").get(method).hardens == "recommender":
        harden_sequences(
            hardening.hardening_class(method, hardens="recommender"),
            model,
            data,
            out,
            columns=columns,
            seed=seed,
            pairs=set_,
            config=config,
            device=device,
            precision=precision,
            json=json,
        )
        return
    refuse_columns(columns)
    kind = hardening.hardening_class(method, hardens="encoder")
    chosen = build_config(kind.config_class, file=config, pairs=set_, where=f"settings of {method}")
    check_folder(out)
    given = open_encoder(model)
    start(out)
    with progress() as report:
        split = open_split(data, report)
        warn_of_other_data(checkpoint_folder(model), split.photos)
        clock = hardening.Clock(report)
        how = models.Training(out=out, device=device, precision=precision, progress=clock)
        facts = {"name": split.photos.name, "fingerprint": split.photos.fingerprint}
        hardened = hardening.harden(
            method, given, split, chosen, seed=seed, training=how, data=facts
        )
        if not models.is_first_process():
            return
        cost = _cost(clock, given, split, how)
        before = _measured(given, split, checkpoint_folder(model), seed, report)
        after = _measured(hardened, split, out, seed, report)
    result: dict[str, Any] = {
        "method": method,
        "start": kind.start,
        "model": model,
        "data": data,
        "seed": seed,
        "checkpoint": str(out),
        "synthetic": split.photos.synthetic,
        "before": before,
        "after": after,
        "cost": cost,
        "protocol": f"{len(split.test):,} held-out photos, catalog of {len(split.catalog):,}",
    }
    words = ["recsec", "evade", "--model", str(out), "--data", data, "--attack", "apgd"]
    step = shlex.join([*words, "--eps", "0.05", "--out", "RUN"])
    emit(result, lambda console: _render(console, result, step), json=json)
    if split.photos.synthetic:
        note("the photos are synthetic: these numbers say nothing about real ones")


def _cost(clock: Any, given: Encoder, split: PhotoSplit, how: Any) -> dict[str, Any]:
    """What hardening took, in epochs and in trainings of the given encoder."""
    from recsec.hardening import clean_epoch_seconds

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return {"clean_epochs": None, "reason": "several processes trained together"}
    seconds = clock.total()
    if seconds is None:
        return {"clean_epochs": None, "reason": "this process made no two steps of the training"}
    unit = clean_epoch_seconds(given, split, training=how)
    epochs = given.config.epochs
    return {
        "seconds": seconds,
        "clean_epoch_seconds": unit,
        "clean_epochs": seconds / unit,
        "clean_trainings": seconds / unit / epochs if epochs else None,
    }


def _measured(
    encoder: Encoder, split: PhotoSplit, folder: Path, seed: int, report: Progress
) -> dict[str, Estimate]:
    """Retrieval and accuracy on the held-out photos."""
    from recsec.evaluation import evaluate_encoder
    from recsec.models import catalog_features
    from recsec.rng import Streams

    features = catalog_features(encoder, split.photos, folder, progress=report)
    found = evaluate_encoder(encoder, split, features=features, progress=report)
    estimates = found.estimates(Streams(seed).child("harden").numpy("metrics"))
    return {name: estimates[name] for name in SHOWN}


def _render(console: Console, result: dict[str, Any], step: str) -> None:
    table = plain_table(f"{result['method']} on held-out photos", ["", "before", "after"])
    for name in SHOWN:
        table.add_row(name, interval(result["before"][name]), interval(result["after"][name]))
    console.print(table)
    cost = result["cost"]
    if cost["clean_epochs"] is None:
        console.print(f"cost: not measured, {cost['reason']}")
    else:
        whole = cost["clean_trainings"]
        told = "" if whole is None else f", {whole:.2f} times the training of the given encoder"
        console.print(f"cost: {cost['clean_epochs']:.1f} clean epochs{told}")
    console.print(f"checkpoint: {result['checkpoint']}", soft_wrap=True)
    console.print("next: how well it resists", markup=False)
    console.print(f"  {step}", soft_wrap=True, markup=False)

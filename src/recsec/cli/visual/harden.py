"""The part of ``recsec harden`` that is about encoders of photos."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from recsec.cli.shared.common import dialect_of_tables
from recsec.cli.shared.output import emit, note_synthetic, progress
from recsec.cli.shared.tables import interval, plain_table
from recsec.cli.shared.training import TrainingOptions, show_checkpoint, start
from recsec.cli.visual.opening import (
    checkpoint_folder,
    open_encoder,
    open_split,
    place_encoder,
    refuse_columns,
    warn_of_other_data,
)

if TYPE_CHECKING:
    from recsec.data import PhotoSplit
    from recsec.models import Encoder
    from recsec.stats import Estimate
    from recsec.types import Progress

__all__ = ["harden_photos"]

SHOWN = ("accuracy", "precision@1", "precision@10", "map@r")


def harden_photos(method: str, model: str, options: TrainingOptions) -> None:
    """Harden an encoder, and measure it on the held-out photos before and after.

    Raises:
        UsageError: options that mean nothing for photos.
        ConfigError: a setting that does not fit.
    """
    from recsec import hardening, models

    refuse_columns(options.columns)
    kind = hardening.hardening_class(method, hardens="encoder")
    chosen = options.settings(kind.config_class, method)
    start(options.out)
    given = open_encoder(model)
    with progress() as report:
        split = open_split(options.data, report, dialect=dialect_of_tables())
        warn_of_other_data(checkpoint_folder(model), split.photos)
        clock = hardening.Clock(report)
        how = options.training(clock)
        facts = {"name": split.photos.name, "fingerprint": split.photos.fingerprint}
        hardened = hardening.harden(
            method, given, split, chosen, seed=options.seed, training=how, data=facts
        )
        if not models.is_first_process():
            return
        cost = _cost(clock, given, split, how)
        for encoder in (given, hardened):
            place_encoder(encoder, options.device)
        before = _measured(given, split, checkpoint_folder(model), options.seed, report)
        after = _measured(hardened, split, options.out, options.seed, report)
    result: dict[str, Any] = {
        "method": method,
        "start": kind.start,
        "model": model,
        "data": options.data,
        "seed": options.seed,
        "checkpoint": str(options.out),
        "synthetic": split.photos.synthetic,
        "before": before,
        "after": after,
        "cost": cost,
        "protocol": f"{len(split.test):,} held-out photos, catalog of {len(split.catalog):,}",
    }
    words = ["recsec", "evade", "--model", str(options.out), "--data", options.data]
    step = shlex.join([*words, "--attack", "apgd", "--eps", "0.05", "--out", "RUN"])
    emit(result, lambda console: _render(console, result, step), json=options.json)
    note_synthetic(split.photos.synthetic, photos=True)


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
    show_checkpoint(console, result, step, why="how well it resists")

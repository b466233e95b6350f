"""The part of ``recsec train`` that is about photos."""

from __future__ import annotations

import shlex
from typing import Any

from rich.console import Console

from recsec.cli.shared.common import dialect_of_tables
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.shared.tables import interval, plain_table
from recsec.cli.shared.training import TrainingOptions, epochs, show_checkpoint, start
from recsec.cli.visual.opening import refuse_columns
from recsec.library.photos import open_split, place_encoder

__all__ = ["train_photos"]

SHOWN = ("precision@1", "precision@10", "map@r", "accuracy", "accuracy@5")


def train_photos(model: str, options: TrainingOptions) -> None:
    """Train an encoder and measure it on the validation photos.

    Raises:
        UsageError: options that mean nothing for photos.
        ConfigError: a setting that does not fit.
    """
    from recsec import models
    from recsec.evaluation import evaluate_encoder
    from recsec.registry import registry
    from recsec.rng import Streams

    refuse_columns(options.columns)
    kind = registry("encoders").get(model)
    chosen = options.settings(kind.config_class, model)
    start(options.out)
    name = options.named_data
    with progress() as report:
        split = open_split(name, report, dialect=dialect_of_tables())
        note(
            f"{name}: {len(split.photos):,} photos; {len(split.train):,} to train on, "
            f"{len(split.validation):,} to choose the epoch, {len(split.test):,} held out, "
            f"in {len(split.categories)} categories"
        )
        encoder = models.train_encoder(
            split,
            chosen,
            seed=options.seed,
            training=options.training(report),
            data={"name": split.photos.name, "fingerprint": split.photos.fingerprint},
        )
        if not models.is_first_process():
            return
        place_encoder(encoder, options.device)
        features = models.catalog_features(encoder, split.photos, options.out, progress=report)
        found = evaluate_encoder(
            encoder, split, queries=split.validation, features=features, progress=report
        )
    estimates = found.estimates(Streams(options.seed).numpy("validation"))
    result: dict[str, Any] = {
        "model": model,
        "data": name,
        "seed": options.seed,
        "checkpoint": str(options.out),
        "parameters": sum(p.numel() for p in encoder.parameters()),
        **epochs(options.out),
        **{key: estimates[key] for key in SHOWN},
        "protocol": "validation: " + found.protocol,
    }
    step = shlex.join(["recsec", "evaluate", "--model", str(options.out), "--data", name])
    emit(result, lambda console: _render(console, result, step), json=options.json)


def _render(console: Console, result: dict[str, Any], step: str) -> None:
    table = plain_table("encoder on validation photos", ["", "value"])
    for key in SHOWN:
        table.add_row(key, interval(result[key]))
    console.print(table)
    show_checkpoint(console, result, step)

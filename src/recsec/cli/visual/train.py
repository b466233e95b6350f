"""The part of ``recsec train`` that is about photos."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from recsec.cli.shared.answering import interval, plain_table
from recsec.cli.shared.common import build_config
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.visual.opening import open_split, refuse_columns

if TYPE_CHECKING:
    from recsec.models import Precision

__all__ = ["train_photos"]

SHOWN = ("precision@1", "precision@10", "map@r", "accuracy", "accuracy@5")


def train_photos(
    model: str,
    data: str,
    out: Path,
    *,
    columns: str | None,
    seed: int,
    pairs: list[str] | None,
    config: Path | None,
    device: str,
    precision: Precision,
    snapshots: int,
    json: bool,
) -> None:
    """Train an encoder into ``out`` and measure it on the validation photos.

    Raises:
        UsageError: options that mean nothing for photos.
    """
    from recsec import models
    from recsec.evaluation import evaluate_encoder
    from recsec.registry import registry
    from recsec.rng import Streams

    refuse_columns(columns)
    kind = registry("encoders").get(model)
    chosen = build_config(kind.config_class, file=config, pairs=pairs, where=f"settings of {model}")
    with progress() as report:
        split = open_split(data, report)
        note(
            f"{data}: {len(split.photos):,} photos; {len(split.train):,} to train on, "
            f"{len(split.validation):,} to choose the epoch, {len(split.test):,} held out, "
            f"in {len(split.categories)} categories"
        )
        encoder = models.train_encoder(
            split,
            chosen,
            seed=seed,
            training=models.Training(
                out=out, device=device, precision=precision, snapshots=snapshots, progress=report
            ),
            data={"name": split.photos.name, "fingerprint": split.photos.fingerprint},
        )
        if not models.is_first_process():
            return
        features = models.catalog_features(encoder, split.photos, out, progress=report)
        found = evaluate_encoder(
            encoder, split, queries=split.validation, features=features, progress=report
        )
    estimates = found.estimates(Streams(seed).numpy("validation"))
    from recsec.cli.train import epochs

    result: dict[str, Any] = {
        "model": model,
        "data": data,
        "seed": seed,
        "checkpoint": str(out),
        "parameters": sum(p.numel() for p in encoder.parameters()),
        **epochs(out),
        **{key: estimates[key] for key in SHOWN},
        "protocol": "validation: " + found.protocol,
    }
    step = shlex.join(["recsec", "evaluate", "--model", str(out), "--data", data])
    emit(result, lambda console: _render(console, result, step), json=json)


def _render(console: Console, result: dict[str, Any], step: str) -> None:
    table = plain_table("encoder on validation photos", ["", "value"])
    for key in SHOWN:
        table.add_row(key, interval(result[key]))
    console.print(table)
    if "best_epoch" in result:
        console.print(f"best epoch: {result['best_epoch']} of {result['epochs']}")
    console.print(f"checkpoint: {result['checkpoint']}", soft_wrap=True)
    console.print(f"next: {step}", soft_wrap=True, markup=False)

"""The part of ``recsec harden`` that is about encoders of photos."""

from __future__ import annotations

import shlex
from typing import Any

from rich.console import Console

from recsec.cli.shared.common import dialect_of_tables
from recsec.cli.shared.output import emit, note, note_synthetic, progress
from recsec.cli.shared.tables import interval, plain_table
from recsec.cli.shared.training import TrainingOptions, show_checkpoint, start
from recsec.cli.visual.opening import refuse_columns
from recsec.sources import refuse_source

__all__ = ["harden_photos"]

SHOWN = ("accuracy", "precision@1", "precision@10", "map@r")


def harden_photos(method: str, model: str, options: TrainingOptions) -> None:
    """Harden an encoder, and measure it on the held-out photos before and after.

    Raises:
        UsageError: options that mean nothing for photos.
        ConfigError: a setting that does not fit.
    """
    from recsec.hardening import hardening_class
    from recsec.library.harden import harden_encoder

    refuse_columns(options.columns)
    refuse_source("harden photos", model)
    kind = hardening_class(method, hardens="encoder")
    chosen = options.settings(kind.config_class, method)
    start(options.out)
    with progress() as report:
        found = harden_encoder(
            method,
            model,
            options.named_data,
            chosen,
            seed=options.seed,
            training=options.training(report),
            dialect=dialect_of_tables(),
        )
    if found is None:
        return
    for text in found.notes:
        note(text)
    result: dict[str, Any] = {
        "method": method,
        "start": found.start,
        "model": model,
        "data": options.named_data,
        "seed": options.seed,
        "checkpoint": str(options.out),
        "synthetic": found.synthetic,
        "before": {name: found.before[name] for name in SHOWN},
        "after": {name: found.after[name] for name in SHOWN},
        "cost": found.cost,
        "protocol": found.before.protocol,
    }
    words = ["recsec", "evade", "--model", str(options.out), "--data", options.named_data]
    step = shlex.join([*words, "--attack", "apgd", "--eps", "0.05", "--out", "RUN"])
    emit(result, lambda console: _render(console, result, step), json=options.json)
    note_synthetic(found.synthetic, photos=True)


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

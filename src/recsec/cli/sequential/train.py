"""The part of ``recsec train`` that is about recommenders of sequences."""

from __future__ import annotations

import shlex
from typing import Any

from rich.console import Console
from rich.table import Table

from recsec.cli.shared.output import emit, note, progress
from recsec.cli.shared.reading import open_data
from recsec.cli.shared.training import TrainingOptions, epochs, show_checkpoint, start
from recsec.library.recommender import VALIDATION, validation

__all__ = ["train_sequences"]


def train_sequences(model: str, options: TrainingOptions) -> None:
    """Train a recommender and measure it on the validation items.

    Raises:
        ConfigError: no such model, or a setting that does not fit.
    """
    start(options.out)
    dataset = open_data(options.named_data, options.columns)
    split = dataset.split()
    from recsec import models
    from recsec.registry import registry

    kind = registry("models").get(model)
    chosen = options.settings(kind.config_class, model)
    note(f"{options.named_data}: {len(split.full):,} users, {len(split.catalog):,} items")
    sampled = None
    if issubclass(kind.config_class, models.ScheduleConfig):
        sampled = models.why_sampled(len(split.catalog))
    if sampled is not None:
        note(sampled)
    with progress() as report:
        trained = models.train(
            model,
            split,
            chosen,
            seed=options.seed,
            training=options.training(report),
            data={"name": dataset.name, "fingerprint": dataset.fingerprint},
        )
        if not models.is_first_process():
            return
        models.remember(options.out, dataset)
        measured = validation(trained, split, seed=options.seed, progress=report)
    result = {
        "model": model,
        "data": options.named_data,
        "seed": options.seed,
        "checkpoint": str(options.out),
        **epochs(options.out),
        **({} if sampled is None else {"loss": sampled}),
        **measured.to_json(),
        "protocol": measured.protocol,
    }
    step = shlex.join(["recsec", "evaluate", "--model", str(options.out)])
    emit(result, lambda console: _render(console, result, step), json=options.json)


def _render(console: Console, result: dict[str, Any], step: str) -> None:
    table = Table("validation", "value", "95 % interval", title=f"{result['model']}")
    for key in VALIDATION:
        if key in result:
            metric = result[key]
            table.add_row(
                key, f"{metric['value']:.4f}", f"{metric['low']:.4f}-{metric['high']:.4f}"
            )
    console.print(table)
    show_checkpoint(console, result, step)

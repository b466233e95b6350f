"""The part of ``recsec harden`` that is about recommenders of sequences."""

from __future__ import annotations

import shlex
from typing import Any

from rich.console import Console

from recsec.cli.shared.output import emit, note_synthetic, progress
from recsec.cli.shared.reading import open_data, told_name
from recsec.cli.shared.tables import plain_table
from recsec.cli.shared.training import TrainingOptions, show_checkpoint, start

__all__ = ["harden_sequences"]

SHOWN = ("hr@10", "ndcg@10")


def harden_sequences(method: str, model: str, options: TrainingOptions) -> None:
    """Harden a checkpoint, and print how well it ranks the validation items before and after.

    Raises:
        ConfigError: model or method are not of models trained by gradients.
    """
    from recsec.hardening import hardening_class
    from recsec.library.harden import harden_recommender

    kind = hardening_class(method, hardens="recommender")
    chosen = options.settings(kind.config_class, method)
    start(options.out)
    dataset = open_data(options.data, options.columns, model=model)
    with progress() as report:
        found = harden_recommender(
            method, model, dataset, chosen, seed=options.seed, training=options.training(report)
        )
    if found is None:
        return
    result: dict[str, Any] = {
        "method": method,
        "start": found.start,
        "model": model,
        "data": told_name(options.data, dataset),
        "seed": options.seed,
        "checkpoint": str(options.out),
        "synthetic": dataset.synthetic,
        "before": found.before.to_json(),
        "after": found.after.to_json(),
        "protocol": found.before.protocol,
    }
    words = ["recsec", "extract", "--model", str(options.out)]
    step = shlex.join([*words, "--policy", "mixed", "--out", "RUN"])
    emit(result, lambda console: _render(console, result, step), json=options.json)
    note_synthetic(dataset.synthetic)


def _render(console: Console, result: dict[str, Any], step: str) -> None:
    table = plain_table(f"{result['method']} on validation items", ["", "before", "after"])
    for name in SHOWN:
        cells = [f"{result[when][name]['value']:.4f}" for when in ("before", "after")]
        table.add_row(name, *cells)
    console.print(table)
    show_checkpoint(console, result, step, why="what a thief gets")

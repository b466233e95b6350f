"""The part of ``recsec harden`` that is about recommenders of sequences."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any

from rich.console import Console

from recsec.cli.sequential.train import validation
from recsec.cli.shared.common import open_data, open_recommender
from recsec.cli.shared.output import emit, note_synthetic, progress
from recsec.cli.shared.tables import plain_table
from recsec.cli.shared.training import TrainingOptions, show_checkpoint, start
from recsec.errors import ConfigError

__all__ = ["harden_sequences"]

SHOWN = ("hr@10", "ndcg@10")


def harden_sequences(method: str, model: str, options: TrainingOptions) -> None:
    """Harden a checkpoint, and print how well it ranks the validation items before and after.

    Raises:
        ConfigError: model or method are not of models trained by gradients.
    """
    from recsec import models
    from recsec.hardening import RecommenderHardening, harden_recommender, hardening_class
    from recsec.models.sequential.neural import NeuralRecommender

    kind = hardening_class(method, hardens="recommender")
    chosen = options.settings(kind.config_class, method)
    start(options.out)
    given = open_recommender(model)
    if not isinstance(given, NeuralRecommender):
        raise ConfigError(
            f"{method} hardens models that are trained by gradients, not {given.name}",
            hint="train bert4rec, meanpool, narm or sasrec",
        )
    hardening = kind(chosen)
    if not isinstance(hardening, RecommenderHardening):
        raise ConfigError(f"the plugin {method} is no RecommenderHardening")
    dataset = open_data(options.data, options.columns)
    split = dataset.split()
    weights = (Path(model).expanduser() / "model.safetensors").read_bytes()
    with progress() as report:
        hardened = harden_recommender(
            hardening,
            given,
            split,
            seed=options.seed,
            training=options.training(report),
            data={"name": dataset.name, "fingerprint": dataset.fingerprint},
            given=hashlib.sha256(weights).hexdigest(),
        )
        if not models.is_first_process():
            return
        before, protocol = validation(given, split, seed=options.seed, report=report)
        after, _ = validation(hardened, split, seed=options.seed, report=report)
    result: dict[str, Any] = {
        "method": method,
        "start": "recipe" if getattr(chosen, "scratch", False) else kind.start,
        "model": model,
        "data": options.data,
        "seed": options.seed,
        "checkpoint": str(options.out),
        "synthetic": dataset.synthetic,
        "before": before,
        "after": after,
        "protocol": protocol,
    }
    words = ["recsec", "extract", "--model", str(options.out), "--data", options.data]
    words += ["--columns", options.columns] if options.columns else []
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

"""``recsec harden`` for recommenders of sequences: GRO and the honeypot."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from recsec.cli.shared.answering import plain_table
from recsec.cli.shared.common import build_config, open_data, open_recommender
from recsec.cli.shared.output import emit, note, progress
from recsec.errors import ConfigError

if TYPE_CHECKING:
    from recsec.hardening import Hardening

__all__ = ["harden_sequences"]

SHOWN = ("hr@10", "ndcg@10")


def harden_sequences(
    kind: type[Hardening[Any, Any]],
    model: str,
    data: str,
    out: Path,
    *,
    columns: str | None,
    seed: int,
    pairs: list[str] | None,
    config: Path | None,
    device: str,
    precision: Any,
    json: bool,
) -> None:
    """Harden a checkpoint, and print how well it ranks the validation items before and after.

    Raises:
        ConfigError: model or method are not of models trained by gradients.
    """
    from recsec import models
    from recsec.cli.train import check_folder, start, validation
    from recsec.hardening import RecommenderHardening, harden_recommender
    from recsec.models.sequential.neural import NeuralRecommender

    chosen = build_config(kind.config_class, file=config, pairs=pairs, where=f"of {kind.name}")
    check_folder(out)
    given = open_recommender(model)
    if not isinstance(given, NeuralRecommender):
        raise ConfigError(
            f"{kind.name} hardens models that are trained by gradients, not {given.name}",
            hint="train bert4rec, meanpool, narm or sasrec",
        )
    method = kind(chosen)
    if not isinstance(method, RecommenderHardening):
        raise ConfigError(f"the plugin {kind.name} is no RecommenderHardening")
    dataset = open_data(data, columns)
    split = dataset.split()
    start(out)
    weights = (Path(model).expanduser() / "model.safetensors").read_bytes()
    with progress() as report:
        hardened = harden_recommender(
            method,
            given,
            split,
            seed=seed,
            training=models.Training(out=out, device=device, precision=precision, progress=report),
            data={"name": dataset.name, "fingerprint": dataset.fingerprint},
            given=hashlib.sha256(weights).hexdigest(),
        )
        if not models.is_first_process():
            return
        before, protocol = validation(given, split, seed=seed, report=report)
        after, _ = validation(hardened, split, seed=seed, report=report)
    result: dict[str, Any] = {
        "method": kind.name,
        "start": "recipe" if getattr(chosen, "scratch", False) else kind.start,
        "model": model,
        "data": data,
        "seed": seed,
        "checkpoint": str(out),
        "synthetic": dataset.synthetic,
        "before": before,
        "after": after,
        "protocol": protocol,
    }
    words = ["recsec", "extract", "--model", str(out), "--data", data]
    words += ["--columns", columns] if columns else []
    step = shlex.join([*words, "--policy", "mixed", "--out", "RUN"])
    emit(result, lambda console: _render(console, result, step), json=json)
    if dataset.synthetic:
        note("the data is synthetic: these numbers say nothing about real users")


def _render(console: Console, result: dict[str, Any], step: str) -> None:
    table = plain_table(f"{result['method']} on validation items", ["", "before", "after"])
    for name in SHOWN:
        cells = [f"{result[when][name]['value']:.4f}" for when in ("before", "after")]
        table.add_row(name, *cells)
    console.print(table)
    console.print(f"checkpoint: {result['checkpoint']}", soft_wrap=True)
    console.print("next: what a thief gets", markup=False)
    console.print(f"  {step}", soft_wrap=True, markup=False)

"""The part of ``recsec evaluate`` that is about photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from recsec.cli.shared.common import dialect_of_tables
from recsec.cli.shared.output import emit, note_synthetic, progress
from recsec.cli.shared.tables import interval, plain_table
from recsec.cli.visual.opening import open_embedded
from recsec.errors import DataError
from recsec.library.photos import encoder_source
from recsec.sources import refuse_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsec.data import PhotoSplit
    from recsec.models import Encoder
    from recsec.stats import Estimate
    from recsec.types import FloatArray, IntArray, Progress

__all__ = ["LabelAttack", "attack_labels", "evaluate_photos"]

WHAT = {
    "precision@1": "share of the nearest photos that have the query's category",
    "precision@5": "the same for the first 5",
    "precision@10": "the same for the first 10",
    "map@r": "mean average precision at R, the size of the query's category",
    "accuracy": "category predicted rightly",
    "accuracy@5": "category among the first 5",
    "adversarial_accuracy": "category predicted rightly under the attack",
    "hubness": "skewness of how often photos are listed (0: all alike)",
}
NESTED = ("attribute_precision@1", "adversarial_attribute_precision@1")


@dataclass(frozen=True)
class LabelAttack:
    """PGD against the labels, as in the thesis' table of classifiers.

    Attributes:
        eps: radius, a share of the pixel range.
        steps: gradients; one makes it FGSM.
    """

    eps: float
    steps: int


def evaluate_photos(
    model: str, data: str, *, stage: str, seed: int, attack: LabelAttack | None, json: bool
) -> None:
    """Measure an encoder on held-out photos.

    Args:
        model: it, as ``--model`` takes it.
        data: photos.
        stage: ``test`` or ``valid``: which rows are queries.
        seed: of the intervals.
        attack: also measure the heads under it.
        json: one JSON object.
    """
    from recsec.evaluation import evaluate_encoder
    from recsec.models import Encoder
    from recsec.rng import Streams

    refuse_source("evaluate photos" if attack is None else "evaluate --attack pgd photos", model)
    source = encoder_source(model)
    encoder = source.encoder
    streams = Streams(seed).child("evaluate")
    with progress() as report:
        split, features = open_embedded(source, data, report, dialect=dialect_of_tables())
        rows = split.test if stage == "test" else split.validation
        found = evaluate_encoder(encoder, split, queries=rows, features=features, progress=report)
        estimates = found.estimates(streams.numpy("metrics"))
        protocol = found.protocol
        if attack is not None and isinstance(encoder, Encoder):
            columns, said = attack_labels(encoder, split, rows, attack, progress=report)
            estimates |= _estimated(columns)
            protocol += f"; adversarial: {said}"
    result: dict[str, Any] = {
        "protocol": protocol,
        "model": model,
        "data": data,
        "synthetic": split.photos.synthetic,
        **_nested(estimates),
    }
    emit(result, lambda out: _render(out, result), json=json)
    note_synthetic(split.photos.synthetic, photos=True)


def attack_labels(
    encoder: Encoder,
    split: PhotoSplit,
    rows: IntArray,
    attack: LabelAttack,
    *,
    progress: Progress | None = None,
) -> tuple[dict[str, FloatArray], str]:
    """Whether the heads are right on photos that PGD changed to make them wrong.

    The loss is the one of training, category and attributes together; steps of 2.5 eps / steps
    from the photo, the last iterate, rounded to 8 bits inside the ball.

    Returns:
        The columns of ``classification``, named ``adversarial_...``, and what was done.
    """
    import numpy as np
    import torch

    from recsec.attacks.evasion import Ball, ascend, levels
    from recsec.evaluation import classification
    from recsec.models import PhotoObjective, frozen_copy
    from recsec.models.trainer import resolve_precision

    objective = PhotoObjective(encoder, split)
    device = encoder.device
    exact = frozen_copy(encoder)
    rough = frozen_copy(encoder, dtype=resolve_precision("auto", device))
    size = levels(attack.eps) / 255
    parts: list[dict[str, FloatArray]] = []
    for start in range(0, len(rows), 128):
        batch = rows[start : start + 128]
        clean = torch.from_numpy(split.photos.pixels(batch, encoder.size)).to(device).float() / 255

        def loss(images: torch.Tensor, batch: IntArray = batch) -> torch.Tensor:
            return objective.label_loss(rough.classify(images), batch)

        moved = ascend(
            loss, clean, eps=size, steps=attack.steps, step_size=2.5 * size / attack.steps
        )
        at = torch.from_numpy(batch)
        heads = exact.classify(Ball.around(clean, attack.eps).round(moved))
        targets = {name: mask[at] for name, mask in objective.targets.items()}
        parts.append(classification(heads, objective.labels[at], targets))
        if progress is not None:
            progress("attack on the labels", min(start + 128, len(rows)), len(rows))
    columns = {
        f"adversarial_{name}": np.concatenate([part[name] for part in parts]) for name in parts[0]
    }
    return columns, (
        f"PGD on the label loss, {attack.steps} steps, eps {attack.eps:g} "
        f"(effective {levels(attack.eps)}/255), white box, 8-bit"
    )


def _estimated(columns: Mapping[str, FloatArray]) -> dict[str, Estimate]:
    """Rates with Wilson intervals; NaN is left out."""
    import numpy as np

    from recsec.stats import wilson

    found = {}
    for name, values in columns.items():
        known = values[~np.isnan(values)]
        if len(known) == 0:
            raise DataError(f"no photo has a label for {name}")
        found[name] = wilson(int(known.sum()), len(known))
    return found


def _nested(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """``attribute_precision@1:color`` becomes ``attribute_precision@1`` -> ``color``."""
    flat: dict[str, Any] = {}
    for name, value in estimates.items():
        key, colon, attribute = name.partition(":")
        if colon:
            flat.setdefault(key, {})[attribute] = value
        else:
            flat[key] = value
    return flat


def _render(out: Console, result: dict[str, Any]) -> None:
    table = plain_table("Retrieval and classification", ["", "value", "n", "what it is"])
    table.columns[3].justify, table.columns[3].no_wrap = "left", False
    for name, what in WHAT.items():
        if name in result:
            table.add_row(name, interval(result[name]), f"{result[name].n:,}", what)
    out.print(table)
    shown = [name for name in NESTED if name in result]
    if shown:
        titles = {NESTED[0]: "clean", NESTED[1]: "under the attack"}
        table = plain_table(
            "Attributes: is the first guess right", ["", *(titles[name] for name in shown), "n"]
        )
        for attribute, value in result[shown[0]].items():
            cells = (interval(result[name][attribute]) for name in shown)
            table.add_row(attribute, *cells, f"{value.n:,}")
        out.print(table)
    out.print(result["protocol"])

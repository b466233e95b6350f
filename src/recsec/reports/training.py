"""The report of a training: how the loss fell, which epoch was kept, and how far it overfits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup
from pydantic import Field, ValidationError

from recsec.errors import RunError
from recsec.reports.document import LABELS, Document
from recsec.reports.parts import Count, Number, Part, Text

__all__ = ["Epoch", "TrainingReport", "read_training", "training_html"]

BROKEN = (OSError, ValueError, RecursionError)
"""What reading a file of JSON may raise."""


class Epoch(Part):
    """One pass over the training data."""

    epoch: Count = Field(description="Counted from 1.")
    loss: Number = Field(description="Mean training loss.")
    lr: Number | None = Field(default=None, description="Learning rate of the last step.")
    valid: dict[str, Number] = Field(description="Validation metrics by flat key.")
    train: Number | None = Field(
        default=None, description="The deciding metric on training users; null if not measured."
    )
    gap: Number | None = Field(default=None, description="train minus validation.")


class TrainingReport(Part):
    """All that a training left behind."""

    schema_version: Literal[1] = Field(default=1, description="Version of this schema.")
    kind: Literal["training"] = Field(default="training", description="What was run.")
    title: Text = Field(description="Title of the report.")
    metric: Text = Field(description="The metric that decided which epoch was kept.")
    best: Count = Field(description="Index of the kept epoch in ``epochs``.")
    epochs: tuple[Epoch, ...] = Field(min_length=1, description="In order.")


def read_training(folder: Path) -> TrainingReport:
    """The report of a checkpoint folder, from the ``history.json`` that the trainer left in it.

    Raises:
        RunError: the history is missing, broken or empty.
    """
    path = folder / "history.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, list) or not entries:
            raise ValueError("expected a list of epochs")
        metric = next(iter(entries[0]["valid"]))
        epochs = tuple(_epoch(entry, metric) for entry in entries)
        scores = [epoch.valid[metric] for epoch in epochs]
        return TrainingReport(
            title=f"Training of {folder.resolve().name}",
            metric=metric,
            best=scores.index(max(scores)),
            epochs=epochs,
        )
    except FileNotFoundError as error:
        raise RunError(
            f"{folder} has no history.json: no epoch was finished, or the model needs none",
            hint="train one: recsec train sasrec --data synthetic --out DIR",
        ) from error
    except (*BROKEN, KeyError, TypeError, StopIteration, ValidationError) as error:
        raise RunError(
            f"{path} is no training history: {type(error).__name__}: {error}",
            hint="run the training again into another folder",
        ) from error


def _epoch(entry: dict[str, Any], metric: str) -> Epoch:
    train = entry.get(f"train_{metric}")
    gap = None if train is None else train - entry["valid"][metric]
    if not math.isfinite(entry["loss"]):
        raise ValueError(f"the loss of epoch {entry['epoch']} is {entry['loss']}")
    return Epoch(
        epoch=entry["epoch"],
        loss=entry["loss"],
        lr=entry.get("lr"),
        valid=entry["valid"],
        train=train,
        gap=gap,
    )


def training_html(report: TrainingReport) -> str:
    """The page of a training: one offline file, like an audit's."""
    from recsec.reports.figures.training import loss_curve, metric_curve

    document = Document(report.model_dump(mode="json"))
    label = LABELS.get(report.metric, report.metric)
    best = report.epochs[report.best]
    first, last = report.epochs[0], report.epochs[-1]
    return document.page(
        "training.html",
        label=label,
        metrics=list(first.valid),
        loss_svg=Markup(loss_curve(report.epochs, report.best)),  # noqa: S704
        loss_alt=f"Training loss by epoch on a logarithmic axis, from {first.loss:.4g} in epoch "
        f"{first.epoch} to {last.loss:.4g} in epoch {last.epoch}.",
        metric_svg=Markup(metric_curve(report.epochs, report.best, report.metric, label)),  # noqa: S704
        metric_alt=f"{label} by epoch; the best validation value is {best.valid[report.metric]:.3f}"
        f" in epoch {best.epoch}"
        + ("." if best.train is None else f", where training reaches {best.train:.3f}."),
    )

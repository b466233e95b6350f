"""Training curves: the loss on a logarithmic axis, and the gap between training and validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from matplotlib.axes import Axes

from recsec.reports.figures.style import (
    INK,
    MUTED,
    OKABE_ITO,
    drawing,
    keep_apart,
    named_after,
    svg,
    ticks,
)

__all__ = ["EpochLike", "loss_curve", "metric_curve"]

WIDTH, HEIGHT = 5.2, 3.1


class EpochLike(Protocol):
    """What a curve needs of an epoch."""

    @property
    def epoch(self) -> int:
        """Counted from 1."""

    @property
    def loss(self) -> float:
        """Mean training loss."""

    @property
    def valid(self) -> Mapping[str, float]:
        """Validation metrics."""

    @property
    def train(self) -> float | None:
        """The deciding metric on training users."""


def loss_curve(epochs: Sequence[EpochLike], best: int) -> str:
    """Training loss by epoch, logarithmic, the kept epoch marked, as SVG.

    Args:
        epochs: in order.
        best: index of the kept epoch.
    """
    with drawing(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        losses = [epoch.loss for epoch in epochs]
        positive = min(losses) > 0
        if positive:
            axes.set_yscale("log")
        _line(axes, epochs, losses, 0, "o", "training loss")
        _best(axes, epochs, best, losses[best])
        _epoch_ticks(axes, epochs, best)
        scaled = [math.log(loss) if positive else loss for loss in losses]
        span = max(max(scaled) - min(scaled), 1e-9)
        kept = _spread([(value - min(scaled)) / span for value in scaled])
        marks = [(losses[i], f"{losses[i]:.3g}", f"/epochs/{i}/loss") for i in kept]
        ticks(axes, "y", marks)
        axes.set_ylabel("loss (logarithmic)" if positive else "loss")
        return svg(figure, name="loss")


def metric_curve(epochs: Sequence[EpochLike], best: int, metric: str, label: str) -> str:
    """Validation metric by epoch with the training metric above it, the gap shaded, as SVG.

    Args:
        epochs: in order.
        best: index of the kept epoch.
        metric: key of the deciding metric.
        label: its name for the reader.
    """
    with drawing(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        valid = [epoch.valid[metric] for epoch in epochs]
        _line(axes, epochs, valid, 0, "o", "validation")
        marks = [(valid[i], f"{valid[i]:.3f}", f"/epochs/{i}/valid/{metric}") for i in (0, best)]
        train = [(i, epoch.train) for i, epoch in enumerate(epochs) if epoch.train is not None]
        if train:
            there = [epochs[i] for i, _ in train]
            values = [value for _, value in train]
            _line(axes, there, values, 1, "s", "training")
            axes.fill_between(
                [epoch.epoch for epoch in there],
                [valid[i] for i, _ in train],
                values,
                color=OKABE_ITO[1],
                alpha=0.15,
                linewidth=0,
                label="generalization gap",
            )
            last, value = train[-1]
            marks.append((value, f"{value:.3f}", f"/epochs/{last}/train"))
        _best(axes, epochs, best, valid[best])
        _epoch_ticks(axes, epochs, best)
        low, high = min(at for at, _, _ in marks), max(at for at, _, _ in marks)
        kept = keep_apart([(at - low) / max(high - low, 1e-9) for at, _, _ in marks], 0.08)
        ticks(axes, "y", [marks[i] for i in kept])
        named_after(axes.set_ylabel(label), metric)
        axes.legend(loc="lower right")
        return svg(figure, name="metric")


def _line(
    axes: Axes,
    epochs: Sequence[EpochLike],
    values: Sequence[float],
    index: int,
    marker: str,
    name: str,
) -> None:
    axes.plot(
        [epoch.epoch for epoch in epochs],
        values,
        color=OKABE_ITO[index],
        marker=marker if len(epochs) <= 40 else None,
        linestyle="-" if index == 0 else "--",
        label=name,
    )


def _best(axes: Axes, epochs: Sequence[EpochLike], best: int, value: float) -> None:
    """A line and a ring at the kept epoch."""
    axes.axvline(epochs[best].epoch, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    axes.plot([epochs[best].epoch], [value], marker="o", markersize=11, fillstyle="none", color=INK)
    axes.annotate(
        "best",
        (epochs[best].epoch, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-3, -2),
        textcoords="offset points",
        ha="right",
        va="top",
        style="italic",
    )


def _epoch_ticks(axes: Axes, epochs: Sequence[EpochLike], best: int) -> None:
    """Ticks at about eight epochs, the kept one among them."""
    step = max(1, math.ceil(len(epochs) / 8))
    shown = {i for i in range(0, len(epochs), step) if abs(i - best) >= step} | {best}
    at = sorted(shown)
    marks = [(float(epochs[i].epoch), str(epochs[i].epoch), f"/epochs/{i}/epoch") for i in at]
    ticks(axes, "x", marks)
    axes.set_xlabel("epoch")


def _spread(positions: list[float]) -> list[int]:
    """Indices of about six values in [0, 1] that leave room for their labels."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    kept = keep_apart([positions[i] for i in order], 0.14)
    return [order[i] for i in kept]

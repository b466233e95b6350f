"""One number over many runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recsec.reports.figures.style import drawing, look, svg
from recsec.reports.parts import Metric

__all__ = ["trend"]

WIDTH, HEIGHT = 5.2, 2.6


def trend(series: Sequence[tuple[str, Sequence[Metric | None]]], names: Sequence[str]) -> str:
    """Lines over runs with their intervals, as SVG; a run without the number is a gap.

    Args:
        series: label and one value per run, each on the scale from 0 to 1.
        names: of the runs, the oldest first; numbered from 1 on the axis.
    """
    with drawing(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        places = range(1, len(names) + 1)
        for at, (label, metrics) in enumerate(series):
            style = look(at)
            known = [
                (x, *_ends(metric))
                for x, metric in zip(places, metrics, strict=True)
                if metric is not None
            ]
            xs, lows, values, highs = zip(*known, strict=True) if known else ((), (), (), ())
            axes.errorbar(
                xs,
                values,
                yerr=[
                    [max(0.0, value - low) for value, low in zip(values, lows, strict=True)],
                    [max(0.0, high - value) for value, high in zip(values, highs, strict=True)],
                ],
                color=style.color,
                marker=style.marker,
                capsize=2,
                label=label,
            )
        axes.set_xticks(list(places))
        axes.set_xlim(0.7, len(names) + 0.3)
        axes.set_ylim(0, 1)
        axes.set_xlabel("run, the oldest first")
        axes.set_ylabel("worst cell")
        if series:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.28), ncols=2, fontsize=9)
        return svg(figure, name="trend")


def _ends(metric: Metric) -> tuple[float, float, float]:
    """Low, value and high; all alike where there is no interval, NaN where there is no value."""
    value = math.nan if metric.value is None else metric.value
    low = value if metric.low is None else metric.low
    return low, value, value if metric.high is None else metric.high

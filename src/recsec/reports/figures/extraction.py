"""Fidelity against calls: how fast a thief's copy approaches the target."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from matplotlib.axes import Axes

from recsec.reports.extraction.part import UNDEFENDED, Extraction, Row
from recsec.reports.figures.style import (
    INK,
    MUTED,
    drawing,
    keep_apart,
    look,
    named_after,
    svg,
    ticks,
)
from recsec.reports.parts import Metrics

__all__ = ["fidelity_curve", "series_of"]

WIDTH, HEIGHT = 5.2, 3.9
SHORT = 22
"""Letters of a name that fits beside another in the legend."""
ENTRY = 0.2
"""Inches that each row of the legend beyond the third adds to the figure."""


def series_of(rows: Sequence[Row], k: int) -> dict[str, list[int]]:
    """Indices of the rows of the bare target with list length ``k``, by series, sorted by calls.

    A series is a policy; the surrogate and its loss join the name where they differ.
    """
    found: defaultdict[str, list[int]] = defaultdict(list)
    here = [
        (index, row) for index, row in enumerate(rows) if row.k == k and row.defense == UNDEFENDED
    ]
    surrogates = len({row.surrogate for _, row in here}) > 1
    losses = len({row.loss for _, row in here}) > 1
    accounts = len({row.accounts for _, row in here}) > 1
    for index, row in sorted(here, key=lambda pair: pair[1].calls):
        name = row.policy
        name += f", {row.surrogate}" if surrogates else ""
        name += f", {row.loss}" if losses else ""
        name += f", accounts: {row.accounts}" if accounts else ""
        found[name].append(index)
    return dict(found)


def fidelity_curve(
    report: Extraction, k: int, *, metric: str = "agr@10", label: str = "Agr@10"
) -> str:
    """Fidelity against calls for one list length, with floor and twin, as SVG.

    Both axes carry only numbers of the report: the calls that were made, and its fixed scale.

    Args:
        report: the extraction part of a report.
        k: list length.
        metric: key of the metric on the vertical axis.
        label: its name for the reader.
    """
    series = series_of(report.rows, k)
    columns = 2 if max(map(len, series), default=0) <= SHORT else 1
    more = max(0, math.ceil(len(series) / columns) - 3)
    with drawing(WIDTH, HEIGHT + ENTRY * more) as figure:
        axes = figure.add_subplot()
        axes.set_xscale("log")
        calls = {report.rows[at].calls: at for members in series.values() for at in members}
        shown = sorted(calls)
        at = [max(1, count) for count in shown]  # no call has no place on a logarithmic axis
        low, high = at[0] / 1.7, at[-1] * 1.7
        axes.set_xlim(low, high)  # before the curves: one point alone has no range to scale to
        for index, (name, members) in enumerate(series.items()):
            _curve(axes, [report.rows[member] for member in members], metric, name, index)
        axes.set_ylim(report.scale[0], report.scale[-1])
        _level(axes, report.floor.metrics, metric, "floor", (0, (1, 1.6)))
        _level(axes, report.twin.metrics or {}, metric, "twin", (0, (7, 3)))
        span = math.log(high / low)
        kept = keep_apart([math.log(place / low) / span for place in at], 0.17)
        ticks(
            axes,
            "x",
            [(at[i], f"{shown[i]:,}", f"/extraction/rows/{calls[shown[i]]}/calls") for i in kept],
        )
        ticks(
            axes,
            "y",
            [
                (value, f"{value:g}", f"/extraction/scale/{i}")
                for i, value in enumerate(report.scale)
            ],
        )
        axes.set_xlabel("API calls (logarithmic)")
        named_after(axes.set_ylabel(label), metric)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(
                loc="outside upper left", ncols=columns, columnspacing=1.2, handlelength=2.6
            )
        return svg(figure, name=f"{metric}-{k}")


def _curve(axes: Axes, rows: list[Row], metric: str, name: str, index: int) -> None:
    """One series: line, markers, and its intervals as a band (bars where it is a single point)."""
    points = [
        (row.calls, found.value, found.low, found.high)
        for row in rows
        if (found := row.metrics.get(metric)) is not None and found.value is not None
    ]
    if not points:
        return
    color, marker, dashes = look(index)
    x = [max(1, calls) for calls, _, _, _ in points]
    low = [value if at is None else at for _, value, at, _ in points]
    high = [value if at is None else at for _, value, _, at in points]
    axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    axes.vlines(x, low, high, color=color, linewidth=1)
    axes.plot(
        x,
        [value for _, value, _, _ in points],
        color=color,
        marker=marker,
        dashes=dashes,
        label=name,
    )


def _level(
    axes: Axes, metrics: Metrics, metric: str, name: str, dashes: tuple[int, tuple[float, float]]
) -> None:
    """A horizontal line for the floor or the twin, with its interval, named in place."""
    found = metrics.get(metric)
    if found is None or found.value is None:
        return
    if found.low is not None and found.high is not None:
        axes.axhspan(found.low, found.high, color=MUTED, alpha=0.16, linewidth=0)
    axes.axhline(found.value, color=INK, linewidth=1.3, linestyle=dashes)
    axes.annotate(
        name,
        (0.012, found.value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        style="italic",
    )

"""The frontier of defenses: what users keep against what the best thief obtains."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from recsec.reports.extraction.part import Defense, Extraction
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
from recsec.reports.parts import Metric

__all__ = ["frontier", "shown", "spread"]

WIDTH, HEIGHT = 5.2, 4.2
LABELS = 0.4
GAP = 0.065


def shown(found: Extraction) -> list[tuple[int, Metric, Metric]]:
    """Defenses that have a place: index, utility kept, and the lift that the best thief obtains."""
    places = []
    for at, defense in enumerate(found.defenses):
        utility = defense.quality.get("utility")
        lift = None if defense.best is None else found.rows[defense.best].metrics.get("lift")
        if utility is not None and lift is not None and None not in (utility.value, lift.value):
            places.append((at, utility, lift))
    return places


def frontier(found: Extraction) -> str:
    """Utility kept against the lift that the best thief obtains, as SVG.

    Every defense has its own marker and its name at the right; hollow where it met fewer thieves
    than the bare target. The dashed line joins those that no other one beats in both.
    """
    with drawing(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        places = shown(found)
        x = [utility.value or 0.0 for _, utility, _ in places]
        y = [lift.value or 0.0 for _, _, lift in places]
        edges = [
            edge
            for _, one, _ in places
            for edge in (one.value, one.low, one.high)
            if edge is not None
        ]
        room = max(0.02, 0.05 * (max(edges) - min(edges)))
        left, right = min(edges) - room, max(edges) + room
        axes.set_xlim(left, right + LABELS * (right - left) / (1 - LABELS))
        axes.set_ylim(min(found.scale[0], *y) - 0.03, max(found.scale[-1], *y) + 0.03)
        joined = sorted(
            (x[i], y[i]) for i, (at, _, _) in enumerate(places) if found.defenses[at].frontier
        )
        axes.plot(
            [at for at, _ in joined],
            [value for _, value in joined],
            color=MUTED,
            linewidth=1,
            linestyle=(0, (4, 3)),
        )
        for i, (at, utility, lift) in enumerate(places):
            color, marker, _ = look(at)
            if utility.low is not None and utility.high is not None:
                axes.hlines(y[i], utility.low, utility.high, color=color, linewidth=1)
            if lift.low is not None and lift.high is not None:
                axes.vlines(x[i], lift.low, lift.high, color=color, linewidth=1)
            met_all = found.defenses[at].thieves >= found.defenses[0].thieves
            axes.plot(
                [x[i]],
                [y[i]],
                color=color,
                marker=marker,
                markersize=7,
                markerfacecolor=color if met_all else "white",
                linestyle="none",
            )
        _names(axes, [found.defenses[at] for at, _, _ in places], x, y)
        span = axes.get_xlim()[1] - left
        kept = keep_apart([(at - left) / span for at in x], 0.14)
        ticks(
            axes,
            "x",
            [
                (x[i], f"{x[i]:.3f}", f"/extraction/defenses/{places[i][0]}/quality/utility/value")
                for i in kept
            ],
        )
        marks = [(v, f"{v:g}", f"/extraction/scale/{i}") for i, v in enumerate(found.scale)]
        ticks(axes, "y", marks)
        axes.set_xlabel("utility kept")
        axes.set_ylabel("gain of the best thief")
        return svg(figure, name="frontier")


def _names(axes: Axes, defenses: Sequence[Defense], x: Sequence[float], y: Sequence[float]) -> None:
    """Every name in a column at the right, with a thin line to its point."""
    low, high = axes.get_ylim()
    heights = spread([(value - low) / (high - low) for value in y], GAP)
    for defense, at, value, height in zip(defenses, x, y, heights, strict=True):
        text = axes.annotate(
            defense.name,
            (at, value),
            xycoords="data",
            xytext=(1 - 0.7 * LABELS, height),
            textcoords="axes fraction",
            va="center",
            color=INK,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "relpos": (0, 0.5)},
        )
        named_after(text, defense.name)


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Positions in [0, 1] moved up until they keep ``gap`` between each other, in the same order.

    Those that would leave the top are pushed down again.

    >>> spread([0.5, 0.5, 0.9], 0.1)
    [0.5, 0.6, 0.9]
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    out = [0.0] * len(positions)
    last = -gap
    for index in order:
        last = out[index] = max(positions[index], round(last + gap, 9))
    ceiling = 1.0
    for index in reversed(order):
        out[index] = min(out[index], round(ceiling, 9))
        ceiling = out[index] - gap
    return out

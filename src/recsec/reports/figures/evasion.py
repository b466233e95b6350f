"""Figures of an evasion audit: curves over budgets, cosines, distances, and the price of safety."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recsec.reports.evasion.part import Evasion, EvasionRow
from recsec.reports.figures.style import (
    INK,
    MUTED,
    OKABE_ITO,
    drawing,
    keep_apart,
    look,
    named_after,
    svg,
    ticks,
)
from recsec.reports.parts import Metric

__all__ = ["cosine_quantiles", "distance_histogram", "judged_worst", "success_curve", "trade_off"]

WIDTH, HEIGHT = 5.2, 3.9
CURVE = "success@3"


def success_curve(found: Evasion, model: str) -> str:
    """success@3 of every attack on one model against the budget, with the worst case, as SVG.

    Attacks that met only the survivors of others are left out: their rate is of other pairs.
    """
    with drawing(WIDTH, HEIGHT + 0.5) as figure:
        axes = figure.add_subplot()
        axes.set_xscale("log")
        worst = [row for row in found.worst if row.model == model]
        axes.set_xlim(worst[0].eps / 1.35, worst[-1].eps * 1.35)
        for index, (name, rows) in enumerate(_attacks(found.rows, model).items()):
            points = [(row.eps, row.success[CURVE]) for row in rows if CURVE in row.success]
            _line(axes, points, name, index)
        _line(axes, [(row.eps, row.success[CURVE]) for row in worst], "worst case", None)
        _rates(axes, found)
        indices = [at for at, row in enumerate(found.worst) if row.model == model]
        _budgets(axes, [(row.eps, at) for row, at in zip(worst, indices, strict=True)])
        axes.set_xlabel("eps, share of the pixel range (logarithmic)")
        named_after(axes.set_ylabel(CURVE), CURVE)
        _legend(figure)
        return svg(figure, name=f"success-{model}")


def _attacks(rows: Sequence[EvasionRow], model: str) -> dict[str, list[EvasionRow]]:
    series: dict[str, list[EvasionRow]] = {}
    for row in sorted(rows, key=lambda row: row.eps):
        if row.model == model and not row.survivors and row.success:
            series.setdefault(row.attack, []).append(row)
    return series


def _line(axes: Axes, points: Sequence[tuple[float, Metric]], name: str, index: int | None) -> None:
    """A series with its intervals; the worst case has no index and is drawn in ink."""
    known = [(eps, m) for eps, m in points if m.value is not None]
    if not known:
        return
    x = [eps for eps, _ in known]
    y = [metric.value or 0.0 for _, metric in known]
    low = [y[i] if m.low is None else m.low for i, (_, m) in enumerate(known)]
    high = [y[i] if m.high is None else m.high for i, (_, m) in enumerate(known)]
    if index is None:
        axes.fill_between(x, low, high, color=MUTED, alpha=0.18, linewidth=0)
        axes.plot(x, y, color=INK, linewidth=2.6, marker="o", label=name, zorder=1)
        return
    color, marker, dashes = look(index)
    axes.vlines(x, low, high, color=color, linewidth=1, alpha=0.6)
    axes.plot(x, y, color=color, marker=marker, dashes=dashes, linewidth=1.3, label=name)


def _legend(figure: Figure) -> None:
    """Above the axes; every name is marked, because it may hold numbers."""
    legend = figure.legend(
        loc="outside upper left", ncols=2, columnspacing=1.2, handlelength=2.6, fontsize=9
    )
    for text in legend.get_texts():
        named_after(text, text.get_text())


def _rates(axes: Axes, found: Evasion) -> None:
    """The vertical axis of a rate."""
    axes.set_ylim(found.scale[0] - 0.02, found.scale[-1] + 0.02)
    marks = [(v, f"{v:g}", f"/evasion/scale/{i}") for i, v in enumerate(found.scale)]
    ticks(axes, "y", marks)


def _budgets(axes: Axes, rows: Sequence[tuple[float, int]]) -> None:
    """The horizontal axis of budgets; crowded ones are left out."""
    low, high = axes.get_xlim()
    place = [axes.transScale.transform((eps, 1.0))[0] for eps, _ in rows]
    left, right = (axes.transScale.transform((edge, 1.0))[0] for edge in (low, high))
    kept = keep_apart([(at - left) / (right - left) for at in place], 0.09)
    ticks(
        axes,
        "x",
        [(rows[i][0], f"{rows[i][0]:g}", f"/evasion/worst/{rows[i][1]}/eps") for i in kept],
    )


def cosine_quantiles(found: Evasion) -> str:
    """Quantiles of the cosine to the target before and after the worst case, as SVG."""
    with drawing(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        axes.plot([-1, 1], [-1, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            "nothing gained", (0.55, 0.55), textcoords="offset points", xytext=(4, -12),
            style="italic", rotation=0,
        )  # fmt: skip
        for index, row in enumerate(found.quantiles):
            color, marker, _ = look(index)
            axes.plot(
                row.before, row.after, color=color, marker=marker, linewidth=1, label=row.model
            )
        values = [v for row in found.quantiles for v in (*row.before, *row.after)]
        low = min([found.scale[0], *values]) - 0.03
        axes.set_xlim(low, 1.03)
        axes.set_ylim(low, 1.03)
        marks = [(v, f"{v:g}", f"/evasion/scale/{i}") for i, v in enumerate(found.scale)]
        ticks(axes, "x", marks)
        ticks(axes, "y", marks)
        axes.set_xlabel("cosine to the target before")
        axes.set_ylabel("cosine after the worst case")
        _legend(figure)
        return svg(figure, name="quantiles")


def distance_histogram(found: Evasion, model: int) -> str:
    """Distances of held-out photos to their neighbor and to the targets of the pairs, as SVG."""
    row = found.distances[model]
    with drawing(WIDTH, 3.1) as figure:
        axes = figure.add_subplot()
        for index, (name, shares) in enumerate(
            (("nearest neighbor", row.nearest), ("target of the pair", row.targets))
        ):
            axes.stairs(
                shares, row.edges, fill=True, alpha=0.35, color=OKABE_ITO[index], linewidth=0
            )
            axes.stairs(
                shares, row.edges, color=OKABE_ITO[index], label=name, linewidth=1.6,
                linestyle=("-", (0, (5, 2)))[index],
            )  # fmt: skip
        shown = [0, len(row.edges) // 2, len(row.edges) - 1]
        ticks(
            axes, "x",
            [(row.edges[i], f"{row.edges[i]:.2f}", f"/evasion/distances/{model}/edges/{i}")
             for i in shown],
        )  # fmt: skip
        axes.set_yticks([])
        axes.set_xlabel("distance, one minus the cosine")
        axes.set_ylabel("share of photos")
        _legend(figure)
        return svg(figure, name=f"distances-{row.model}")


def judged_worst(found: Evasion, model: str) -> int | None:
    """Index of the worst case of a model at the budget of the verdict; the largest without one."""
    at = found.verdict.row
    limit = found.worst[at].eps if at is not None else 1.0
    rows = [i for i, row in enumerate(found.worst) if row.model == model and row.eps <= limit]
    return max(rows, key=lambda i: found.worst[i].eps, default=None)


def trade_off(found: Evasion) -> str:
    """precision@10 against worst-case success@10 at the budget of the verdict, as SVG."""
    with drawing(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        places: list[tuple[float, int]] = []
        for index, model in enumerate(found.models):
            at = judged_worst(found, model.name)
            worth = model.quality.get("precision@10")
            if at is None or worth is None or worth.value is None:
                continue
            risk = found.worst[at].success["success@10"]
            (color, marker, _), y = look(index), risk.value or 0.0
            axes.errorbar(
                worth.value, y,
                xerr=_bars(worth), yerr=_bars(risk), color=color, elinewidth=1.2,
                marker=marker, linestyle="none", markersize=8,
                label=model.name,
            )  # fmt: skip
            places.append((worth.value, index))
        low, high = min(x for x, _ in places), max(x for x, _ in places)
        room = max(0.02, 0.25 * (high - low))
        axes.set_xlim(low - room, high + room)
        _rates(axes, found)
        width = high - low + 2 * room
        kept = keep_apart([(x - low) / width for x, _ in places], 0.14)
        ticks(
            axes, "x",
            [(places[i][0], f"{places[i][0]:.3f}",
              f"/evasion/models/{places[i][1]}/quality/precision@10/value") for i in kept],
        )  # fmt: skip
        named_after(axes.set_xlabel("precision@10"), "precision@10")
        named_after(axes.set_ylabel("success@10"), "success@10")
        _legend(figure)
        return svg(figure, name="trade-off")


def _bars(metric: Metric) -> list[list[float]] | None:
    if metric.value is None or metric.low is None or metric.high is None:
        return None
    return [[max(0.0, metric.value - metric.low)], [max(0.0, metric.high - metric.value)]]

"""What a data set looks like: one figure for each table of an analysis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from recsec.reports.figures.style import INK, MUTED, OKABE_ITO, drawing

if TYPE_CHECKING:
    from recsec.data import Analysis

__all__ = ["FIGURES", "draw"]

BLUE = OKABE_ITO[0]
ORANGE = OKABE_ITO[1]


def draw(analysis: Analysis, folder: Path) -> list[Path]:
    """Write every figure that the data allows, as SVG and PNG.

    Figures of what the data lacks (ratings, genres, years, clock times) are left out.

    Args:
        analysis: the tables.
        folder: made if it is missing; files of the same names are replaced.

    Returns:
        The files, in the order of ``FIGURES``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, (has_data, make) in FIGURES.items():
        if not has_data(analysis):
            continue
        with mpl.rc_context({"svg.hashsalt": name}):
            figure = make(analysis)
            for suffix in (".svg", ".png"):
                paths.append(folder / f"{name}{suffix}")
                metadata = {"Date": None} if suffix == ".svg" else None
                figure.savefig(paths[-1], dpi=160, facecolor="white", metadata=metadata)
    return paths


@contextmanager
def _panel(
    analysis: Analysis, title: str, caption: str, *, height: float = 3.4
) -> Iterator[tuple[Figure, Axes]]:
    """A figure of one panel, with the name of the data and a line that says what to see."""
    origin = "synthetic data" if analysis.synthetic else analysis.name
    with drawing(6.4, height) as figure:
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_title(f"{origin}: {title}", loc="left", fontsize=11, color=INK)
        figure.supxlabel(caption, x=0.01, ha="left", fontsize=9, color=MUTED)
        yield figure, axes


def _thousands(value: float, _: object) -> str:
    return f"{value:,.0f}"


def _plain(axis: mpl.axis.Axis) -> None:
    axis.set_major_formatter(FuncFormatter(_thousands))


def lengths(analysis: Analysis) -> Figure:
    """How many interactions users have; the axis is logarithmic, as a few users have most."""
    low, high = analysis.lengths.min(), analysis.lengths.max()
    middle = float(np.median(analysis.lengths))
    edges = np.unique(np.geomspace(low, high + 1, 41).round())
    with _panel(
        analysis, "history lengths", "Users by number of interactions; the line is the median."
    ) as (figure, axes):
        axes.hist(analysis.lengths, bins=edges.tolist(), color=BLUE, edgecolor="white", lw=0.3)
        axes.set_xscale("log")
        marks = _round_marks(int(low), int(high))
        axes.set_xticks(marks, labels=[f"{mark:,}" for mark in marks])
        axes.minorticks_off()
        axes.axvline(middle, color=ORANGE, lw=1.6)
        axes.annotate(
            f"median {middle:,.0f}",
            (middle, 0.96),
            xycoords=("data", "axes fraction"),
            xytext=(5, 0),
            textcoords="offset points",
            va="top",
            color=INK,
        )
        axes.margins(y=0.15)
        axes.set_xlabel("interactions per user (logarithmic)")
        axes.set_ylabel("users")
        _plain(axes.yaxis)
        axes.grid(visible=False, axis="x")
    return figure


def _round_marks(low: int, high: int) -> list[int]:
    """1, 2, 5, 10, ... between two numbers, every one of them if few, else powers of ten."""
    marks = [step * 10**power for power in range(9) for step in (1, 2, 5)]
    return [mark for mark in marks if low <= mark <= high] or [low]


def long_tail(analysis: Analysis) -> Figure:
    """How much of all interactions the most popular items have."""
    counts = analysis.counts
    share = 100 * np.cumsum(counts) / counts.sum()
    part = 100 * np.arange(1, len(counts) + 1) / len(counts)
    tenth = 100 * float(analysis.summary["top_tenth_share"])
    with _panel(
        analysis,
        "the long tail",
        "The further the curve is above the dashed line, the more a few items have.",
    ) as (figure, axes):
        axes.plot([0, 100], [0, 100], color=MUTED, lw=1, ls=(0, (5, 3)))
        axes.fill_between(part, share, part, color=BLUE, alpha=0.12, lw=0)
        axes.plot(np.r_[0, part], np.r_[0, share], color=BLUE)
        axes.plot([10], [tenth], "o", color=ORANGE)
        axes.text(
            98,
            6,
            f"the top 10 % of items (dot) have {tenth:.0f} %\n"
            f"Gini {analysis.summary['item_gini']:.2f}",
            ha="right",
            color=INK,
        )
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 101)
        axes.set_xlabel("items, most popular first (%)")
        axes.set_ylabel("interactions (%)")
    return figure


def ratings(analysis: Analysis) -> Figure:
    """How often each rating was given."""
    values = analysis.ratings["rating"].to_numpy()
    rows = analysis.ratings["rows"].to_numpy()
    share = 100 * rows / rows.sum()
    width = 0.8 * float(np.diff(values).min()) if len(values) > 1 else 0.8
    with _panel(
        analysis,
        "ratings",
        f"Share of each rating; the mean is {analysis.summary['rating_mean']:.2f}.",
    ) as (figure, axes):
        bars = axes.bar(values, share, width=width, color=BLUE)
        if len(values) <= 10:
            axes.set_xticks(values, labels=[f"{value:g}" for value in values])
            axes.bar_label(bars, fmt="{:.0f} %", padding=2, fontsize=9, color=INK)
        axes.set_xlabel("rating")
        axes.set_ylabel("interactions (%)")
        axes.grid(visible=False, axis="x")
    return figure


def genres(analysis: Analysis) -> Figure:
    """Which genres the catalog has and which are used."""
    table = analysis.genres.head(24).reverse()
    names = table["genre"].to_list()
    total = int(analysis.counts.sum())
    used = 100 * table["rows"].to_numpy() / total
    offered = 100 * table["items"].to_numpy() / len(analysis.counts)
    place = np.arange(len(names))
    with _panel(
        analysis,
        "genres",
        "Bar beyond the diamond: used more than its share of the catalog.\n"
        "An item of several genres counts in each.",
        height=1.7 + 0.24 * len(names),
    ) as (figure, axes):
        axes.barh(place, used, color=BLUE, height=0.7, label="share of interactions")
        axes.plot(offered, place, "D", color=ORANGE, ms=5, label="share of items")
        axes.set_yticks(place, labels=names)
        axes.set_ylim(-0.7, len(names) - 0.3)
        axes.set_xlim(left=0)
        axes.set_xlabel("%")
        axes.grid(visible=False, axis="y")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    return figure


def years(analysis: Analysis) -> Figure:
    """When the items were released, and which years are used."""
    year = analysis.years["year"].to_numpy()
    span = np.arange(int(year.min()), int(year.max()) + 1)
    tables = {}
    for name in ("items", "rows"):
        full = np.zeros(len(span))
        full[year - span[0]] = analysis.years[name].to_numpy()
        tables[name] = 100 * full / full.sum()
    with _panel(
        analysis,
        "release years",
        "Bars above the line: years that are used more than they are offered.",
    ) as (figure, axes):
        axes.bar(span, tables["rows"], width=0.85, color=BLUE, label="interactions")
        axes.step(span, tables["items"], where="mid", color=ORANGE, lw=1.4, label="items")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.set_xlabel("year of release")
        axes.set_ylabel("share (%)")
        axes.grid(visible=False, axis="x")
        axes.legend(loc="upper left")
    return figure


def top(analysis: Analysis) -> Figure:
    """The 20 items with most interactions."""
    table = analysis.top.reverse()
    names = [title if len(title) <= 42 else title[:41] + "…" for title in table["title"]]
    place = np.arange(len(names))
    with _panel(
        analysis,
        f"top {len(names)} items",
        f"How many of the {len(analysis.lengths):,} users met each, repeats counted.",
        height=1.1 + 0.25 * len(names),
    ) as (figure, axes):
        bars = axes.barh(place, table["rows"].to_numpy(), color=BLUE, height=0.7)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8, color=INK)
        axes.set_yticks(place, labels=names, fontsize=9)
        axes.set_ylim(-0.7, len(names) - 0.3)
        axes.set_xlabel("interactions")
        axes.margins(x=0.1)
        _plain(axes.xaxis)
        axes.grid(visible=False)
    return figure


def matrix(analysis: Analysis) -> Figure:
    """Who met what: active users and popular items fill the corner at the top left."""
    rows, columns = analysis.sample.shape
    filled = 100 * analysis.sample.mean()
    with _panel(
        analysis,
        "users by items, a sample",
        f"Each dot is an interaction; {filled:.1f} % of the cells are filled. The denser the left\n"
        "edge, the more a few popular items are what everybody has.",
        height=4.4,
    ) as (figure, axes):
        axes.imshow(analysis.sample, cmap="Blues", aspect="auto", interpolation="nearest")
        axes.set_xlabel(f"{columns:,} of {len(analysis.counts):,} items, most popular first")
        axes.set_ylabel(f"{rows:,} of {len(analysis.lengths):,} users, most active first")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
    return figure


def activity(analysis: Analysis) -> Figure:
    """Interactions per month."""
    table = analysis.activity
    months = [] if table is None else table["month"].to_list()
    rows = [] if table is None else table["rows"].to_list()
    with _panel(analysis, "activity", "Interactions per month, by clock time (UTC).") as (
        figure,
        axes,
    ):
        axes.bar(months, rows, width=25, align="edge", color=BLUE)
        locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        form = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(form)
        axes.set_ylabel("interactions")
        _plain(axes.yaxis)
        axes.grid(visible=False, axis="x")
    return figure


FIGURES: dict[str, tuple[Callable[[Analysis], bool], Callable[[Analysis], Figure]]] = {
    "lengths": (lambda _: True, lengths),
    "long-tail": (lambda _: True, long_tail),
    "ratings": (lambda analysis: analysis.ratings.height > 0, ratings),
    "genres": (lambda analysis: analysis.genres.height > 0, genres),
    "years": (lambda analysis: analysis.years.height > 0, years),
    "top": (lambda _: True, top),
    "matrix": (lambda _: True, matrix),
    "activity": (lambda analysis: analysis.activity is not None, activity),
}
"""Name, whether the data allows it, and how it is drawn."""

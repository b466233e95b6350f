"""What a catalog of photos looks like: how many of what, and a sheet of samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from recsec.reports.figures.style import INK, MUTED, OKABE_ITO, drawing

if TYPE_CHECKING:
    from recsec.data import PhotoAnalysis

__all__ = ["draw_photos"]

LONGEST = 40
"""Bars of the figure of categories."""


def draw_photos(analysis: PhotoAnalysis, folder: Path) -> list[Path]:
    """Write counts of categories and attributes as SVG and PNG, and a sample sheet as PNG.

    Args:
        analysis: the tables.
        folder: made if it is missing; files of the same names are replaced.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    both = (".svg", ".png")
    figures: dict[str, tuple[Figure, tuple[str, ...]]] = {}
    figures["categories"] = (categories(analysis), both)
    if analysis.attributes:
        figures["attributes"] = (attributes(analysis), both)
    figures["sheet"] = (sheet(analysis), (".png",))
    paths = []
    for name, (figure, suffixes) in figures.items():
        with mpl.rc_context({"svg.hashsalt": name}):
            for suffix in suffixes:
                paths.append(folder / f"{name}{suffix}")
                metadata = {"Date": None} if suffix == ".svg" else None
                figure.savefig(paths[-1], dpi=160, facecolor="white", metadata=metadata)
    return paths


@contextmanager
def _figure(
    analysis: PhotoAnalysis, title: str, caption: str, width: float, height: float
) -> Iterator[Figure]:
    """A figure with the name of the data and a line that says what to see."""
    origin = "made-up photos" if analysis.synthetic else analysis.name
    with drawing(width, height) as figure:
        FigureCanvasAgg(figure)
        figure.suptitle(f"{origin}: {title}", x=0.01, ha="left", fontsize=11, color=INK)
        figure.supxlabel(caption, x=0.01, ha="left", fontsize=9, color=MUTED)
        yield figure


def _bars(figure: Figure, place: tuple[int, int, int], title: str, table: pl.DataFrame) -> None:
    """Names and counts, most first."""
    axes = figure.add_subplot(*place)
    names = [name if len(name) <= 24 else name[:23] + "…" for name in table.to_series(0)]
    at = np.arange(len(names))[::-1]
    bars = axes.barh(at, table["photos"].to_numpy(), color=OKABE_ITO[0], height=0.7)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8, color=INK)
    axes.set_yticks(at, labels=names, fontsize=8)
    axes.set_ylim(-0.7, max(len(names), 1) - 0.3)
    axes.margins(x=0.15)
    axes.set_xticks([])
    axes.set_title(title, loc="left", fontsize=9, color=MUTED)
    axes.grid(visible=False)


def categories(analysis: PhotoAnalysis) -> Figure:
    """How many photos each category has."""
    table = analysis.categories.head(LONGEST)
    left = analysis.categories.height - table.height
    more = f" {left:,} smaller ones are not shown." if left else ""
    caption = f"Photos by category, after repeats and broken files are out.{more}"
    height = 1.3 + 0.17 * table.height
    with _figure(analysis, "categories", caption, 5.6, height) as figure:
        _bars(figure, (1, 1, 1), "photos", table)
    return figure


def attributes(analysis: PhotoAnalysis) -> Figure:
    """How often each value of each attribute occurs."""
    count = len(analysis.attributes)
    columns = min(2, count)
    rows = -(-count // columns)
    caption = "Photos by value, the 12 most frequent of each attribute."
    with _figure(analysis, "attributes", caption, 6.4, 0.9 + 2.3 * rows) as figure:
        for place, (name, table) in enumerate(analysis.attributes.items(), start=1):
            _bars(figure, (rows, columns, place), name, table.head(12))
    return figure


def sheet(analysis: PhotoAnalysis) -> Figure:
    """The first photos of the most frequent categories, as the models see them."""
    rows, columns, _, size, _ = analysis.sheet.shape
    picture = analysis.sheet.transpose(0, 3, 1, 4, 2).reshape(rows * size, columns * size, 3)
    names = analysis.categories["category"].head(rows).to_list()
    caption = (
        f"The first photos of the {rows} most frequent categories, as squares "
        f"({analysis.summary['resize']})."
    )
    with _figure(analysis, "a sample", caption, 7.2, 0.9 + 5.6 * rows / columns) as figure:
        axes = figure.add_subplot()
        axes.set_anchor("E")
        axes.imshow(picture, interpolation="nearest")
        axes.set_yticks(size * (np.arange(rows) + 0.5), labels=names, fontsize=8)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    return figure

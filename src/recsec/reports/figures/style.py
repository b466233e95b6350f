"""One look for all figures: colors that color-blind readers tell apart, text that stays text."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "DASHES",
    "GRID",
    "INK",
    "MARKERS",
    "MUTED",
    "OKABE_ITO",
    "Look",
    "drawing",
    "keep_apart",
    "look",
    "named_after",
    "points_at",
    "svg",
    "ticks",
]

INK: Final = "#1b1f24"
MUTED: Final = "#59636e"
GRID: Final = "#d5dae0"
OKABE_ITO: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Source: Okabe & Ito, Color Universal Design (2008); yellow and black are left out."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
DASHES: Final = ((), (5, 2), (1, 1.5), (6, 2, 1, 2), (3, 1.5), (8, 2))
"""Series differ in color, marker and dashes: any one of the three is enough to tell them apart."""

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    **{color: f"--series-{index}" for index, color in enumerate(OKABE_ITO)},
}
_POINTER, _KEY = "json:", "key:"


class Look(NamedTuple):
    """Of a series.

    Attributes:
        color: from ``OKABE_ITO``.
        marker: from ``MARKERS``.
        dashes: lengths in points, as ``Axes.plot`` takes them.
    """

    color: str
    marker: str
    dashes: tuple[float, ...] | tuple[None, None]


def look(index: int) -> Look:
    """Of series ``index``: the first 36 differ from each other, neighbors in all three parts."""
    n = len(OKABE_ITO)
    again = index // n
    dashes = DASHES[(index + 2 * again) % n] or (None, None)
    return Look(OKABE_ITO[index % n], MARKERS[(index + again) % n], dashes)


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """A figure in the house style.

    Args:
        width: inches; five fill a telephone's screen with text that stays readable.
        height: inches.
    """
    settings: Any = {
        "font.size": 10,
        "font.family": "sans-serif",
        "text.parse_math": False,  # names may hold a dollar sign
        "svg.fonttype": "none",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.7,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
    }
    with mpl.rc_context(settings):
        yield Figure(figsize=(width, height), layout="constrained")


def points_at(artist: Artist, pointer: str) -> None:
    """Mark a number in a figure with the JSON pointer of where it stands in the report."""
    artist.set_gid(_POINTER + pointer)


def named_after(artist: Artist, key: str) -> None:
    """Mark the name of a metric in a figure with the metric's key."""
    artist.set_gid(_KEY + key)


def keep_apart(positions: list[float], gap: float) -> list[int]:
    """Indices of ``positions`` that keep ``gap`` between each other; the last one always stays.

    >>> keep_apart([0.0, 0.1, 0.5, 1.0], 0.3)
    [0, 2, 3]
    """
    kept: list[int] = []
    order = sorted(range(len(positions)), key=lambda index: -positions[index])
    for index in order:
        if not kept or positions[kept[-1]] - positions[index] >= gap:
            kept.append(index)
    return sorted(kept)


def ticks(axes: Axes, which: str, marks: list[tuple[float, str, str]]) -> None:
    """Set the ticks of one axis.

    Args:
        axes: the axes.
        which: ``x`` or ``y``.
        marks: position, label, and the JSON pointer of the number in the label.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks([at for at, _, _ in marks], labels=[label for _, label, _ in marks])
    axis.set_ticks([], minor=True)
    for tick, (_, _, pointer) in zip(axis.get_major_ticks(), marks, strict=True):
        points_at(tick.label1, pointer)


def svg(figure: Figure, *, name: str) -> str:
    """The figure as an SVG element to be put inside a page.

    Colors refer to the page's variables, so the figure follows its light or dark theme; ids are
    distinct for distinct names; the same figure gives the same text.

    Args:
        figure: what to draw.
        name: distinct within the page.
    """
    buffer = io.StringIO()
    salt = hashlib.sha256(name.encode()).hexdigest()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable}, {color})")
    text = text.replace(f'id="{_POINTER}', 'data-json="').replace(f'id="{_KEY}', 'data-key="')
    prefix = salt[:6]
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = text.replace("url(#", f"url(#{prefix}-")
    # the page scales the figure: width and height are the page's business
    return re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", text, count=1)

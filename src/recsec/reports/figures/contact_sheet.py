"""Photos side by side: a query and its neighbors."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsec.reports.figures.style import MUTED, OKABE_ITO, drawing

__all__ = ["Tile", "contact_sheet"]

COLUMNS = 5
SIDE = 1.55
"""Inches of a tile."""
LETTERS, LINES = 24, 3


@dataclass(frozen=True)
class Tile:
    """One photo of a sheet.

    Attributes:
        pixels: ``(3, H, W)`` uint8.
        caption: short; long lines are wrapped and cut.
    """

    pixels: npt.NDArray[np.uint8]
    caption: str


def contact_sheet(query: Tile, neighbors: Sequence[Tile]) -> bytes:
    """A PNG: the query framed in the first column, its neighbors beside it in reading order.

    The same tiles give the same bytes.
    """
    rows = max(1, math.ceil(len(neighbors) / COLUMNS))
    with drawing((COLUMNS + 1) * SIDE, rows * SIDE * 1.45) as figure:
        grid: Any = figure.subplots(rows, COLUMNS + 1, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        _show(grid[0, 0], query, framed=True)
        for place, tile in enumerate(neighbors):
            line, column = divmod(place, COLUMNS)
            _show(grid[line, column + 1], tile, framed=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _show(axes: Any, tile: Tile, *, framed: bool) -> None:
    """One tile with its caption below."""
    axes.set_axis_on()
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.imshow(tile.pixels.transpose(1, 2, 0))
    for spine in axes.spines.values():
        spine.set_visible(framed)
        spine.set_edgecolor(OKABE_ITO[1] if framed else MUTED)
        spine.set_linewidth(3 if framed else 0)
    lines: list[str] = []
    for line in tile.caption.splitlines():
        wrapped = textwrap.wrap(line, LETTERS) or [""]
        lines += (
            wrapped
            if len(wrapped) < LINES
            else [*wrapped[: LINES - 2], wrapped[LINES - 2] + " ..."]
        )
    axes.set_xlabel("\n".join(lines), fontsize=7.5)

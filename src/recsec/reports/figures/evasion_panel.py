"""One attack as one picture: what was changed, what it was to become, and the lists."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsec.reports.figures.style import GRID, MUTED, OKABE_ITO, drawing

__all__ = ["PanelTile", "amplified", "evasion_panel"]

Bytes = npt.NDArray[np.uint8]
SIDE = 1.6
"""Inches of a tile."""
LETTERS = 22


@dataclass(frozen=True)
class PanelTile:
    """A photo with what is said about it.

    Attributes:
        pixels: ``(3, H, W)`` uint8.
        title: above the photo, one line.
        lines: below it.
        framed: whether it is the attacked item or the target.
    """

    pixels: Bytes
    title: str = ""
    lines: tuple[str, ...] = ()
    framed: bool = False


def amplified(original: Bytes, adversarial: Bytes) -> Bytes:
    """The change of a photo made visible: gray where nothing changed, the largest change full.

    Args:
        original: ``(3, H, W)`` uint8.
        adversarial: the same shape.
    """
    change = adversarial.astype(np.float64) - original
    scale = max(1.0, float(np.abs(change).max()))
    return np.round(127.5 + 127.5 * change / scale).astype(np.uint8)


def evasion_panel(
    photos: Sequence[PanelTile],
    before: Sequence[PanelTile],
    after: Sequence[PanelTile],
    *,
    said: str,
    names: tuple[str, str],
) -> bytes:
    """A PNG: the photos of the attack, then the target's list before and after it.

    Args:
        photos: original, adversarial, difference, target.
        before: the target's neighbors, nearest first.
        after: the same with the adversarial photo in place of the original.
        said: what happened, one line.
        names: what the two lists are called.

    The same tiles give the same bytes.
    """
    columns = max(len(photos), len(before), len(after))
    with drawing(columns * SIDE, 3 * SIDE * 1.5) as figure:
        figure.suptitle(said, fontsize=10)
        grid: Any = figure.subplots(3, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for line, tiles in enumerate((photos, before, after)):
            for place, tile in enumerate(tiles):
                _show(grid[line, place], tile)
        for line, name in enumerate(names, start=1):
            if (before, after)[line - 1]:
                grid[line, 0].set_ylabel(name, fontsize=8)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _show(axes: Any, tile: PanelTile) -> None:
    axes.set_axis_on()
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.imshow(tile.pixels.transpose(1, 2, 0), interpolation="nearest")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_edgecolor(OKABE_ITO[1] if tile.framed else GRID)
        spine.set_linewidth(3 if tile.framed else 0.7)
    if tile.title:
        axes.set_title(tile.title, fontsize=8)
    text = [part for line in tile.lines for part in textwrap.wrap(line, LETTERS)[:2] or [""]]
    axes.set_xlabel("\n".join(text), fontsize=6.5, color=MUTED)

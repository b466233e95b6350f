"""How good a recommender is by genre, and which genres it takes for which."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from recsec.reports.figures.style import INK, MUTED, OKABE_ITO, drawing
from recsec.stats import Estimate
from recsec.types import FloatArray

__all__ = ["genre_confusion", "hr_by_genre"]


def _file(figure: Figure, *, title: str, description: str) -> str:
    """The figure as an SVG file of its own; equal figures give equal text."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": title, "svg.fonttype": "none"}):
        metadata = {"Date": None, "Title": title, "Description": description}
        figure.savefig(buffer, format="svg", facecolor="white", metadata=metadata)
    return buffer.getvalue()


def hr_by_genre(rows: Sequence[tuple[str, int, Estimate]], overall: Estimate) -> str:
    """HR@10 with its interval for the users of each dominant genre, as SVG.

    A dashed line marks the mean of all users, so that one sees which tastes are served worse.

    Args:
        rows: genre, number of users, HR@10.
        overall: HR@10 of all users.
    """
    ordered = sorted(rows, key=lambda row: row[2].value)
    title = "HR@10 by dominant genre of the history"
    with drawing(6.0, 1.1 + 0.3 * len(ordered)) as figure:
        axes = figure.add_subplot()
        for at, (_, _, value) in enumerate(ordered):
            if value.low is not None and value.high is not None:
                axes.plot([value.low, value.high], [at, at], color=MUTED, linewidth=1.5)
            axes.plot([value.value], [at], "o", color=OKABE_ITO[0])
        axes.axvline(overall.value, color=INK, linestyle=(0, (5, 3)), linewidth=1)
        axes.set_yticks(
            range(len(ordered)),
            labels=[f"{genre} ({users:,} users)" for genre, users, _ in ordered],
        )
        axes.set_xlim(left=0)
        axes.set_xlabel(f"HR@10, 95 % interval; dashed: all users, {overall.value:.3f}")
        axes.grid(visible=False, axis="y")
        axes.set_title(title, loc="left", fontsize=11)
        described = f"Points with intervals for {len(ordered)} genres and the mean of all users."
        return _file(figure, title=title, description=described)


def genre_confusion(names: Sequence[str], shares: FloatArray) -> str:
    """Which genres are recommended where an item of each genre was chosen, as SVG.

    Dark cells off the diagonal are genres that take the place of the one chosen.

    Args:
        names: G genre names.
        shares: ``(G, G)`` in [0, 1], rows sum to 1; NaN rows (never chosen) are left out,
            one at least is known.
    """
    kept = [row for row in range(len(names)) if not np.isnan(shares[row]).all()]
    title = "Genres recommended where each genre was chosen next"
    side = 2.2 + 0.34 * len(names)
    with drawing(side + 0.6, side * (0.4 + 0.6 * len(kept) / max(1, len(names)))) as figure:
        axes = figure.add_subplot()
        table = shares[kept]
        top = float(table.max())
        axes.imshow(table, cmap="Blues", vmin=0, vmax=top, aspect="auto")
        for row in range(len(table)):
            for column in range(len(names)):
                share = table[row, column]
                if share >= 0.01:
                    axes.text(
                        column,
                        row,
                        f"{100 * share:.0f}",
                        ha="center",
                        va="center",
                        fontsize=7,
                        color="white" if share > 0.6 * top else INK,
                    )
        axes.set_xticks(range(len(names)), labels=list(names), rotation=60, ha="right")
        axes.set_yticks(range(len(kept)), labels=[names[row] for row in kept])
        axes.set_xlabel("genre of the ten items recommended, % of the row")
        axes.set_ylabel("genre of the item chosen next")
        axes.grid(visible=False)
        axes.set_title(title, loc="left", fontsize=11)
        described = f"A table of {len(kept)} by {len(names)} genres; a row sums to 100 %."
        return _file(figure, title=title, description=described)

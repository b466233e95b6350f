"""How people choose from lists: what was counted, and the law that was fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recsec.reports.figures.style import drawing, look, svg

__all__ = ["clicks"]

WIDTH, HEIGHT = 5.2, 3.0


def clicks(shares: Mapping[int, Sequence[float]], laws: Mapping[int, Sequence[float]]) -> str:
    """Share of each rank among choices, as SVG, both axes logarithmic.

    Args:
        shares: counted, by list length; rank 1 first.
        laws: the same as the fitted law has it.
    """
    with drawing(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        for at, k in enumerate(sorted(shares)):
            style, ranks = look(at), range(1, k + 1)
            counted = [share or float("nan") for share in shares[k]]
            axes.plot(
                ranks, counted, style.marker, color=style.color, label=f"lists of {k}, counted"
            )
            axes.plot(ranks, laws[k], color=style.color, label=f"lists of {k}, law")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("rank in the list that was shown")
        axes.set_ylabel("share of choices")
        axes.legend(fontsize=9)
        return svg(figure, name="clicks")

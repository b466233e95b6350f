"""What the judged pairs say together: rates with intervals, beside their base rates."""

from __future__ import annotations

from typing import Any

import polars as pl

from recsec.attacks.evasion.projection import effective_eps, levels
from recsec.metrics import SUCCESS_AT, rank_gain, success_rate
from recsec.types import IntArray

__all__ = ["summarize"]


def summarize(table: pl.DataFrame, *, eps: float) -> dict[str, Any]:
    """Numbers of one attack at one budget, ready for JSON.

    Args:
        table: one row per pair: the columns of ``Evaded.table`` and ``rank_noise``.
        eps: the budget.

    Returns:
        ``success@r`` for every r of ``SUCCESS_AT`` as estimates, the same under ``clean`` and
        ``noise``; medians of the ranks and of the rank gain; means of cosines, PSNR, SSIM and
        effort; the largest L-inf.
    """
    ranks = {name: table[name].to_numpy() for name in ("rank_before", "rank_after", "rank_noise")}
    changed = table.filter(pl.col("psnr").is_finite())["psnr"]
    return {
        "eps": eps,
        "effective_eps": effective_eps(eps),
        "levels": levels(eps),
        **_rates(ranks["rank_after"]),
        "clean": _rates(ranks["rank_before"]),
        "noise": _rates(ranks["rank_noise"]),
        "rank_before": _median(ranks["rank_before"]),
        "rank_after": _median(ranks["rank_after"]),
        "rank_gain": float(
            pl.Series(rank_gain(ranks["rank_before"], ranks["rank_after"])).median() or 0.0  # type: ignore[arg-type]
        ),
        "cosine_before": _mean(table["cosine_before"]),
        "cosine_after": _mean(table["cosine_after"]),
        "linf": float(table["linf"].max()),  # type: ignore[arg-type]
        "l2": _mean(table["l2"]),
        "psnr": _mean(changed) if len(changed) else float("inf"),
        "ssim": _mean(table["ssim"]),
        "in_budget": _mean(table["in_budget"].cast(pl.Float64)),
        "forwards": _mean(table["forwards"]),
        "backwards": _mean(table["backwards"]),
        "queries": _mean(table["queries"]),
        "dead": int(table["dead"].sum()),
    }


def _rates(ranks: IntArray) -> dict[str, Any]:
    return {f"success@{r}": success_rate(ranks, r).to_json() for r in SUCCESS_AT}


def _median(values: IntArray) -> float:
    return float(pl.Series(values).median())  # type: ignore[arg-type]


def _mean(values: pl.Series) -> float:
    return float(values.mean())  # type: ignore[arg-type]

"""What the judged pairs say together: rates with intervals, beside their base rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import scipy

from recsec.attacks.evasion.projection import effective_eps, levels
from recsec.metrics import SUCCESS_AT, rank_gain, success_rate
from recsec.stats import Estimate, wilson
from recsec.types import FloatArray, IntArray

__all__ = ["smallest_budget", "summarize"]


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
        "rank_gain": _median(rank_gain(ranks["rank_before"], ranks["rank_after"])),
        "cosine_before": _mean(table["cosine_before"]),
        "cosine_after": _mean(table["cosine_after"]),
        "linf": float(table["linf"].to_numpy().max()),
        "l2": _mean(table["l2"]),
        "psnr": _mean(changed) if len(changed) else float("inf"),
        "ssim": _mean(table["ssim"]),
        "in_budget": _mean(table["in_budget"].cast(pl.Float64)),
        "forwards": _mean(table["forwards"]),
        "backwards": _mean(table["backwards"]),
        "queries": _mean(table["queries"]),
        "dead": int(table["dead"].sum()),
    }


def smallest_budget(table: pl.DataFrame) -> dict[str, Any]:
    """The smallest budgets of all pairs together, ready for JSON.

    Args:
        table: one row per pair and budget, with ``item``, ``target``, ``eps`` and ``min_eps``, null
            where even the largest budget fails.

    Returns:
        ``median`` with its interval, in which a pair that fails counts as needing more than was
        tried: NaN, or no upper end, where that reaches them. ``failed``, the share of such pairs,
        and ``largest``, the largest budget tried.
    """
    pairs = table.filter(pl.col("eps") == pl.col("eps").max())
    needed = pairs["min_eps"].fill_null(float("inf")).to_numpy()
    return {
        "median": median_estimate(needed).to_json(),
        "failed": wilson(int(np.isinf(needed).sum()), len(needed)).to_json(),
        "largest": float(table["eps"].to_numpy().max()),
    }


def median_estimate(values: FloatArray) -> Estimate:
    """The median with the interval between two order statistics; infinite values are unknown ones.

    Of an even number of values the lower middle one, so that it is one that was seen. The interval
    holds the true median in at least 95 % of samples, whatever the distribution.

    Source: Conover, Practical Nonparametric Statistics, section 3.2.

    Args:
        values: ``(n,)``, n > 0.
    """
    ordered, n = np.sort(values), len(values)
    outside = int(scipy.stats.binom.ppf(0.025, n, 0.5))  # values below the lower end
    ends = (ordered[outside - 1], ordered[n - outside]) if outside > 0 else (np.inf, np.inf)
    value = ordered[(n - 1) // 2]
    low, high = (float(end) if np.isfinite(end) else None for end in ends)
    return Estimate(float(value) if np.isfinite(value) else float("nan"), low, high, n)


def _rates(ranks: IntArray) -> dict[str, Any]:
    return {f"success@{r}": success_rate(ranks, r).to_json() for r in SUCCESS_AT}


def _median(values: IntArray | FloatArray) -> float:
    return float(np.median(values))


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean())

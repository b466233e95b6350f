"""From a watch and its log to the table of accounts: p-value, verdict, view, cluster."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsec.detection.watch import Watch
from recsec.metrics.detection import benjamini_hochberg
from recsec.traffic import QueryLog

__all__ = ["judge"]

SUSPECT = 0.05
"""Accounts with a p-value up to this are compared with each other."""


def judge(watch: Watch, log: QueryLog, *, level: float) -> pl.DataFrame:
    """One row per account, the most suspicious first.

    Args:
        watch: has seen the log.
        log: for the links between accounts.
        level: false discovery rate.

    Returns:
        ``id``, ``queries``, ``score[LABEL]`` each, ``p_value``, ``flagged``, ``view`` (which of the
        combined detectors finds the account most suspicious) and ``cluster`` (accounts with p-value
        at most 0.05 that ask alike share a number; null for the others).
    """
    table = watch.accounts()
    flagged = benjamini_hochberg(table["p_value"].to_numpy(), level)
    queries = table["queries"].to_numpy()
    labels = sorted(watch.fitted.scales)
    views = [
        watch.fitted.scales[label].standard(table[f"score[{label}]"].to_numpy(), queries)
        for label in labels
    ]
    best = np.argmax(views, axis=0) if views else np.zeros(0, np.int64)
    suspects = table.filter(pl.col("p_value") <= SUSPECT)["id"].to_list()
    cluster = np.full(len(table), -1)
    if watch.fitted.linker is not None:
        cluster[: len(suspects)] = watch.fitted.linker.link(log, suspects)
    return table.with_columns(
        pl.Series("flagged", flagged),
        pl.Series("view", [labels[place] for place in best.tolist()], dtype=pl.String),
        pl.Series("cluster", cluster).replace(-1, None),
    )

"""From a watch and its log to the table of accounts: p-value, verdict, view, cluster."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsec.detection.sybil import MOST
from recsec.detection.verdict.check import strange_ways
from recsec.detection.watch import Watch
from recsec.metrics.detection import benjamini_hochberg
from recsec.traffic import Queries, QueryLog, WholeLog

__all__ = ["judge"]

SUSPECT = 0.05
"""Accounts with a p-value up to this are compared with each other."""


def judge(watch: Watch, log: Queries | QueryLog, *, level: float) -> pl.DataFrame:
    """One row per account, the most suspicious first.

    Args:
        watch: has seen the log.
        log: for the links between accounts.
        level: false discovery rate.

    Returns:
        ``id``, ``queries``, ``score[LABEL]`` each, ``p_value``, ``flagged``, ``view`` (which of the
        combined detectors finds the account most suspicious), ``cluster`` (accounts with p-value
        at most 0.05 that ask alike share a number; null for the others) and ``withheld`` (why
        there is no p-value; null where there is one). Accounts without a p-value come last.
    """
    strange = strange_ways(watch)
    table = watch.accounts().with_columns(
        withheld=pl.col("id").replace_strict(strange, default=None, return_dtype=pl.String)
    )
    table = table.with_columns(
        p_value=pl.when(pl.col("withheld").is_null()).then(pl.col("p_value"))
    ).sort("p_value", "id", nulls_last=True)
    told = table["p_value"].is_not_null().to_numpy()
    flagged = np.zeros(len(table), dtype=np.bool_)
    flagged[told] = benjamini_hochberg(table["p_value"].drop_nulls().to_numpy(), level)
    queries = table["queries"].to_numpy()
    labels = sorted(watch.fitted.scales)
    views = [
        watch.fitted.scales[label].standard(table[f"score[{label}]"].to_numpy(), queries)
        for label in labels
    ]
    best = np.argmax(views, axis=0) if views else np.zeros(0, np.int64)
    suspects = table.filter(pl.col("p_value") <= SUSPECT)["id"].to_list()
    cluster = np.full(len(table), -1)
    if watch.fitted.linker is not None and suspects:
        whole: Queries = WholeLog(log) if isinstance(log, QueryLog) else log
        compared = suspects[:MOST]
        cluster[: len(compared)] = watch.fitted.linker.link(whole.of(compared), compared)
    return table.with_columns(
        pl.Series("flagged", flagged),
        pl.Series("view", [labels[place] for place in best.tolist()], dtype=pl.String),
        pl.Series("cluster", cluster).replace(-1, None),
        pl.col("withheld"),
    )

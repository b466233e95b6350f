"""Pure functions from lists, ranks and counts to numbers."""

from recsec.metrics.catalog import (
    coverage,
    genre_confusion,
    genre_counts,
    jaccard,
    mean_per_list,
    popularity_percentiles,
    weighted_jaccard,
)
from recsec.metrics.fidelity import agreement, kendall_tau, rbo
from recsec.metrics.ranking import hits, list_ranks, mrr, ndcg, target_ranks

__all__ = [
    "agreement",
    "coverage",
    "genre_confusion",
    "genre_counts",
    "hits",
    "jaccard",
    "kendall_tau",
    "list_ranks",
    "mean_per_list",
    "mrr",
    "ndcg",
    "popularity_percentiles",
    "rbo",
    "target_ranks",
    "weighted_jaccard",
]

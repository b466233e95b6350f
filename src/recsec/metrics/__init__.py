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
from recsec.metrics.detection import (
    accounts_needed,
    benjamini_hochberg,
    confusion,
    empirical_p_values,
    queries_to_detection,
    tail_p_values,
    threshold_at,
    true_positive_rate,
)
from recsec.metrics.evasion import SUCCESS_AT, rank_gain, success, success_rate
from recsec.metrics.fidelity import agreement, kendall_tau, rbo
from recsec.metrics.perceptual import l2_distance, linf_distance, psnr, ssim
from recsec.metrics.ranking import hits, list_ranks, mrr, ndcg, target_ranks
from recsec.metrics.retrieval import average_precision_at_r, hubness, occurrences, precision

__all__ = [
    "SUCCESS_AT",
    "accounts_needed",
    "agreement",
    "average_precision_at_r",
    "benjamini_hochberg",
    "confusion",
    "coverage",
    "empirical_p_values",
    "genre_confusion",
    "genre_counts",
    "hits",
    "hubness",
    "jaccard",
    "kendall_tau",
    "l2_distance",
    "linf_distance",
    "list_ranks",
    "mean_per_list",
    "mrr",
    "ndcg",
    "occurrences",
    "popularity_percentiles",
    "precision",
    "psnr",
    "queries_to_detection",
    "rank_gain",
    "rbo",
    "ssim",
    "success",
    "success_rate",
    "tail_p_values",
    "target_ranks",
    "threshold_at",
    "true_positive_rate",
    "weighted_jaccard",
]

"""Recommenders: one architecture per file, one contract for all."""

from recsec.models.base import (
    Incremental,
    ModelConfig,
    Precision,
    Recommender,
    Training,
    mask_history,
    top_k,
)
from recsec.models.checkpoint import load, read_config, save_checkpoint
from recsec.models.markov import Markov, MarkovConfig
from recsec.models.meanpool import MeanPool, MeanPoolConfig
from recsec.models.popularity import Popularity, PopularityConfig
from recsec.models.sasrec import SasRec, SasRecConfig
from recsec.models.training import is_first_process, train

__all__ = [
    "Incremental",
    "Markov",
    "MarkovConfig",
    "MeanPool",
    "MeanPoolConfig",
    "ModelConfig",
    "Popularity",
    "PopularityConfig",
    "Precision",
    "Recommender",
    "SasRec",
    "SasRecConfig",
    "Training",
    "is_first_process",
    "load",
    "mask_history",
    "read_config",
    "save_checkpoint",
    "top_k",
    "train",
]

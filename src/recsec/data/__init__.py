"""Reading, checking, filtering and making interactions."""

from recsec.data.catalog import Catalog
from recsec.data.dataset import Dataset
from recsec.data.filters import Filters, Report, Step
from recsec.data.interactions import Interactions, Raw
from recsec.data.known import KNOWN, KnownData, known
from recsec.data.loading import load
from recsec.data.sequences import Batch, Sequences, Split, Stage, leave_one_out, pad
from recsec.data.synthetic import (
    Plant,
    SyntheticConfig,
    best_answer,
    generate,
    optimal_scores,
    plant,
)

__all__ = [
    "KNOWN",
    "Batch",
    "Catalog",
    "Dataset",
    "Filters",
    "Interactions",
    "KnownData",
    "Plant",
    "Raw",
    "Report",
    "Sequences",
    "Split",
    "Stage",
    "Step",
    "SyntheticConfig",
    "best_answer",
    "generate",
    "known",
    "leave_one_out",
    "load",
    "optimal_scores",
    "pad",
    "plant",
]

"""Reading, checking, filtering and making interactions."""

from recsec.data.analysis import Analysis, analyze
from recsec.data.cache import Receipt, cache_folder, read_receipt
from recsec.data.catalog import Catalog
from recsec.data.dataset import Dataset
from recsec.data.download import get
from recsec.data.filters import Filters, Report, Step
from recsec.data.interactions import Interactions, Raw
from recsec.data.known import KNOWN, KnownData, known
from recsec.data.loading import load
from recsec.data.planted import Plant, best_answer, optimal_scores
from recsec.data.sequences import Batch, Sequences, Split, Stage, leave_one_out, pad
from recsec.data.splits import TimeSplit, split_by_time
from recsec.data.synthetic import SyntheticConfig, best_hit_rate, generate, plant, write_synthetic

__all__ = [
    "KNOWN",
    "Analysis",
    "Batch",
    "Catalog",
    "Dataset",
    "Filters",
    "Interactions",
    "KnownData",
    "Plant",
    "Raw",
    "Receipt",
    "Report",
    "Sequences",
    "Split",
    "Stage",
    "Step",
    "SyntheticConfig",
    "TimeSplit",
    "analyze",
    "best_answer",
    "best_hit_rate",
    "cache_folder",
    "generate",
    "get",
    "known",
    "leave_one_out",
    "load",
    "optimal_scores",
    "pad",
    "plant",
    "read_receipt",
    "split_by_time",
    "write_synthetic",
]

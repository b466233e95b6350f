"""Reading, checking, filtering and making interactions."""

from recsec.data.analysis import Analysis, analyze
from recsec.data.catalog import Catalog
from recsec.data.dataset import Dataset, Origin
from recsec.data.dialect import Dialect
from recsec.data.download import get
from recsec.data.filters import Filters, Report, Step
from recsec.data.interactions import Interactions, Raw
from recsec.data.loading import load, load_as
from recsec.data.made_up.planted import Plant, best_answer, optimal_scores
from recsec.data.made_up.synthetic import (
    SyntheticConfig,
    best_hit_rate,
    generate,
    plant,
    write_synthetic,
)
from recsec.data.photos.addresses import Fetched, fetch_photos
from recsec.data.photos.analysis import PhotoAnalysis, analyze_photos
from recsec.data.photos.catalog import PhotoReport, Photos
from recsec.data.photos.files import ResizeRule, read_photo, resize
from recsec.data.photos.loading import is_photos, load_photos
from recsec.data.photos.split import PhotoSplit, split_photos
from recsec.data.photos.synthetic import SyntheticPhotosConfig
from recsec.data.reading import Reading
from recsec.data.sequences import Batch, Sequences, Split, Stage, leave_one_out, pad
from recsec.data.sources.cache import Receipt, cache_folder, read_receipt
from recsec.data.sources.known import KNOWN, KNOWN_PHOTOS, KnownData, known
from recsec.data.splits import TimeSplit, split_by_time

__all__ = [
    "KNOWN",
    "KNOWN_PHOTOS",
    "Analysis",
    "Batch",
    "Catalog",
    "Dataset",
    "Dialect",
    "Fetched",
    "Filters",
    "Interactions",
    "KnownData",
    "Origin",
    "PhotoAnalysis",
    "PhotoReport",
    "PhotoSplit",
    "Photos",
    "Plant",
    "Raw",
    "Reading",
    "Receipt",
    "Report",
    "ResizeRule",
    "Sequences",
    "Split",
    "Stage",
    "Step",
    "SyntheticConfig",
    "SyntheticPhotosConfig",
    "TimeSplit",
    "analyze",
    "analyze_photos",
    "best_answer",
    "best_hit_rate",
    "cache_folder",
    "fetch_photos",
    "generate",
    "get",
    "is_photos",
    "known",
    "leave_one_out",
    "load",
    "load_as",
    "load_photos",
    "optimal_scores",
    "pad",
    "plant",
    "read_photo",
    "read_receipt",
    "resize",
    "split_by_time",
    "split_photos",
    "write_synthetic",
]

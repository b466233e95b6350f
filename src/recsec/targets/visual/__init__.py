"""Encoders of photos that others made, behind one door (``open_source``)."""

from recsec.targets.visual.black_box import BlackBox
from recsec.targets.visual.file import EncoderFile
from recsec.targets.visual.network import NetworkEncoder
from recsec.targets.visual.open import SOURCES, EncoderSource, is_source, open_source
from recsec.targets.visual.ranks import check_ranks
from recsec.targets.visual.recipe import Recipe
from recsec.targets.visual.repeats import check_vectors
from recsec.targets.visual.search.client import ImageSearch, Scored
from recsec.targets.visual.search.file import SearchFile, is_search, read_search_file
from recsec.targets.visual.search.preflight import Repeats, check_search, checking_uploads
from recsec.targets.visual.sources.onnx_file import OnnxEncoder

__all__ = [
    "SOURCES",
    "BlackBox",
    "EncoderFile",
    "EncoderSource",
    "ImageSearch",
    "NetworkEncoder",
    "OnnxEncoder",
    "Recipe",
    "Repeats",
    "Scored",
    "SearchFile",
    "check_ranks",
    "check_search",
    "check_vectors",
    "checking_uploads",
    "is_search",
    "is_source",
    "open_source",
    "read_search_file",
]

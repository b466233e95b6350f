"""Encoders of photos that others made, behind one door (``open_source``)."""

from recsec.targets.visual.black_box import BlackBox
from recsec.targets.visual.file import EncoderFile
from recsec.targets.visual.network import NetworkEncoder
from recsec.targets.visual.onnx_file import OnnxEncoder
from recsec.targets.visual.open import SOURCES, EncoderSource, is_source, open_source
from recsec.targets.visual.ranks import check_ranks
from recsec.targets.visual.recipe import Recipe

__all__ = [
    "SOURCES",
    "BlackBox",
    "EncoderFile",
    "EncoderSource",
    "NetworkEncoder",
    "OnnxEncoder",
    "Recipe",
    "check_ranks",
    "is_source",
    "open_source",
]

"""Guards: defenses that act while a target answers."""

from recsec.targets.guards.base import (
    Guard,
    GuardConfig,
    Rescoring,
    Surroundings,
    answer_in_turn,
    as_scores,
    best,
    lists_in_turn,
)
from recsec.targets.guards.build import build_guards, configured
from recsec.targets.guards.contract import GUARD_CONTRACT
from recsec.targets.guards.key import KEY_BYTES, derive, fingerprint, read_key, write_key
from recsec.targets.guards.marks import (
    first_is_green,
    green_items,
    popularity_pairs,
    replies,
    trigger_bands,
    triggers,
)
from recsec.targets.guards.misinform import Misinform, MisinformConfig
from recsec.targets.guards.quantize import Quantize, QuantizeConfig
from recsec.targets.guards.reverse import Reverse, flip
from recsec.targets.guards.shuffle import Shuffle, ShuffleConfig
from recsec.targets.guards.throttle import Throttle, ThrottleConfig
from recsec.targets.guards.truncate import Truncate, TruncateConfig
from recsec.targets.guards.watermark import Watermark, WatermarkConfig

__all__ = [
    "GUARD_CONTRACT",
    "KEY_BYTES",
    "Guard",
    "GuardConfig",
    "Misinform",
    "MisinformConfig",
    "Quantize",
    "QuantizeConfig",
    "Rescoring",
    "Reverse",
    "Shuffle",
    "ShuffleConfig",
    "Surroundings",
    "Throttle",
    "ThrottleConfig",
    "Truncate",
    "TruncateConfig",
    "Watermark",
    "WatermarkConfig",
    "answer_in_turn",
    "as_scores",
    "best",
    "build_guards",
    "configured",
    "derive",
    "fingerprint",
    "first_is_green",
    "flip",
    "green_items",
    "lists_in_turn",
    "popularity_pairs",
    "read_key",
    "replies",
    "trigger_bands",
    "triggers",
    "write_key",
]

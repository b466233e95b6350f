"""Targets that keep the histories themselves and take events, no faster than people act."""

from recsec.targets.bounded.history import History
from recsec.targets.bounded.pace import DAY, HOTELS, Pace, most_within
from recsec.targets.bounded.serving import TREATMENTS, Serving, ServingPolicy, Treatment
from recsec.targets.bounded.target import BoundedTarget
from recsec.targets.bounded.thief import Sybils

__all__ = [
    "DAY",
    "HOTELS",
    "TREATMENTS",
    "BoundedTarget",
    "History",
    "Pace",
    "Serving",
    "ServingPolicy",
    "Sybils",
    "Treatment",
    "most_within",
]

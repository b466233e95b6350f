"""Does a query go on from one of the account's newest ones, as people's do?"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from recsec.detection.base import CountingDetector, FitData
from recsec.traffic import REPEATS, Steps
from recsec.types import FloatArray, IntArray

__all__ = ["Continuity"]


class Continuity(CountingDetector):
    """Share of an account's queries that neither go on from a newest one nor start with one item.

    A person's clients send a few growing histories, and now and then start anew. Pools of whole
    histories extend nothing; many sessions that grow side by side extend, but never a newest one.
    Repeated queries do not count.

    State: 2 numbers per account (16 bytes); merges exactly in any split.
    """

    name = "continuity"
    width = 2

    @classmethod
    def fit(cls, data: FitData, config: Any) -> Self:
        """Nothing to learn: calibration alone says how often honest users start anew."""
        return cls(config, {}, data.catalog)

    def increments(self, steps: Steps, codes: IntArray) -> IntArray:
        """One query each, and whether it breaks off."""
        counted = steps.kind != REPEATS
        return np.column_stack([counted, counted & ~steps.near]).astype(np.int64)

    def score(self, counts: IntArray) -> FloatArray:
        """See ``CountingDetector.score``; one break is free: a log begins somewhere."""
        breaks: FloatArray = (counts[:, 1] - 1) / np.maximum(counts[:, 0] - 1, 1)
        return np.maximum(breaks, 0.0)

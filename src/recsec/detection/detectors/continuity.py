"""Does a query extend the account's newest one, as people's do?"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from recsec.detection.base import CountingDetector, FitData
from recsec.traffic import Steps
from recsec.types import FloatArray, IntArray

__all__ = ["Continuity"]


class Continuity(CountingDetector):
    """Share of an account's queries that do not extend its newest query.

    A person's client sends one growing history, and now and then starts anew. Pools of whole
    histories extend nothing; sessions that grow side by side extend, but never the newest query.
    A repeated query counts as one that does not extend.

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
        return np.column_stack([np.ones(len(steps), dtype=np.int64), ~steps.newest])

    def score(self, counts: IntArray) -> FloatArray:
        """See ``CountingDetector.score``; the first query of an account starts by necessity."""
        breaks: FloatArray = (counts[:, 1] - 1) / np.maximum(counts[:, 0] - 1, 1)
        return np.maximum(breaks, 0.0)

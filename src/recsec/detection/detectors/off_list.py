"""How surprising are the items that an account adds although no list offered them?

A thief who explores asks for items that no list showed him. In a mean over all added items a few
such steps drown among likely ones, so here they are judged apart. Honest people choose outside of
lists too, each with a taste of their own: the mean of an account scatters however many choices it
is taken over, and the score allows for that.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from recsec.detection.base import FitData
from recsec.detection.detectors.transition import UNIT, Transition, TransitionConfig
from recsec.traffic import Steps
from recsec.types import FloatArray, IntArray

__all__ = ["OffList"]

LEAST = 2
"""Choices outside of lists with which an honest account tells how much such choices scatter."""


class OffList(Transition):
    """Mean surprise of the items that were not in the list just served, standardized.

    ``(mean - m) / sqrt(v / n + b)`` over the n such items of an account: m is the mean surprise of
    honest choices, v its variance within an account and b the variance of means between accounts
    (random effects, by the method of moments). Without b, an honest account of a rare taste would
    look the more certain a thief the more it asks. They are taken from accounts whose history is
    not known: nobody is surprised by transitions that were counted.

    State: 2 numbers per account (16 bytes); merges exactly in any split.
    """

    name = "off-list"
    config_class = TransitionConfig

    @classmethod
    def fit(cls, data: FitData, config: Any) -> Self:
        """See ``Detector.fit``."""
        counted = Transition.fit(data, config).fitted
        detector = cls(config, {**counted, "honest": np.ones(3)}, data.catalog)
        parts = [detector._of_accounts(steps, data.known) for steps in (*data.honest, *data.habits)]
        n, total, squares = np.concatenate([np.zeros((0, 3)), *parts]).T
        able = n >= LEAST
        n, total, squares = n[able], total[able], squares[able]
        if len(n) >= LEAST:
            means = total / n
            within = float((squares - total * means).sum() / (n - 1).sum())
            between = max(0.0, float(means.var(ddof=1) - (within / n).mean()))
            detector.fitted["honest"] = np.array([means.mean(), within, between])
        return detector

    def _of_accounts(self, steps: Steps, without: frozenset[str]) -> FloatArray:
        """``(A, 3)`` number, sum and sum of squares of the surprise of each account."""
        surprise, row = self._surprises(steps, steps.rank == 0)
        account = steps.account[row]
        kept = np.array([name not in without for name in steps.accounts])[account]
        columns = (surprise[kept] ** power for power in range(3))
        per = [np.bincount(account[kept], one, len(steps.accounts)) for one in columns]
        return np.stack(per, axis=1)

    def increments(self, steps: Steps, codes: IntArray) -> IntArray:
        """How many items outside the list each query adds, and their surprise in millionths."""
        return self._added(steps, steps.rank == 0)

    def score(self, counts: IntArray) -> FloatArray:
        """See ``CountingDetector.score``; 0 for an account that never left the lists."""
        middle, within, between = self.fitted["honest"]
        n = np.maximum(counts[:, 0], 1)
        away = counts[:, 1] / UNIT / n - middle
        found: FloatArray = np.where(counts[:, 0] > 0, away / np.sqrt(within / n + between), 0.0)
        return found

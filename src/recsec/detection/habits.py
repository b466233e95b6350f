"""Habits of an account: how the items it chose relate to each other, to the ranking, to fashion.

A guard that looks at one history asks whether it could be a person's. Somebody who imitates people
passes. Over the events of an account more can be seen together: people have tastes, choose what is
popular, and their ranks scatter in another way than a law that a thief draws from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from recsec.detection.calibration import Calibration
from recsec.models.base import Recommender
from recsec.targets.guards.typical import RankLaw, binned, own_ranks
from recsec.types import FloatArray, IntArray

__all__ = ["Habits", "HabitsJudge"]


@dataclass(frozen=True, eq=False)
class Habits:
    """Measures histories.

    Attributes:
        recommender: ranks the items of a history, given those before them.
        law: of people's ranks and machines'.
        vectors: ``(N + 1, E)`` unit item vectors, the mean of what people choose taken away.
        counts: ``(N + 1,)`` popularity.
    """

    recommender: Recommender
    law: RankLaw
    vectors: npt.NDArray[np.float64]
    counts: IntArray

    @classmethod
    def of(
        cls,
        recommender: Recommender,
        law: RankLaw,
        vectors: npt.NDArray[np.float32],
        counts: IntArray,
    ) -> Self:
        """With item vectors ``(N + 1, E)`` of any length and place."""
        known = vectors[: len(counts)].astype(np.float64)
        away = known - counts @ known / max(1, counts.sum())
        length = np.linalg.norm(away, axis=1, keepdims=True)
        return cls(recommender, law, away / np.maximum(length, 1e-9), counts)

    def measure(self, histories: IntArray) -> FloatArray:
        """``(B, F)`` habits of histories ``(B, L)`` without padding, L at least 3.

        The roots of the shares of the rank bins, and the suspicion per item; how alike the items
        are, all of them and each with the one before; mean, spread and least of log popularity.
        """
        length = histories.shape[1]
        ranks = own_ranks(self.recommender, histories)
        shares = binned(ranks, self.law.edges) / np.maximum((ranks > 0).sum(axis=1), 1)[:, None]
        items = self.vectors[histories]
        whole = items.sum(axis=1)
        alike = ((whole**2).sum(axis=1) - length) / (length * (length - 1))
        steps = (items[:, 1:] * items[:, :-1]).sum(axis=2).mean(axis=1)
        liked = np.log1p(self.counts[histories])
        suspicion = self.law.suspicion(ranks) / length
        spread = [alike, steps, liked.mean(axis=1), liked.std(axis=1), liked.min(axis=1), suspicion]
        return np.column_stack([np.sqrt(shares), *spread])


@dataclass(frozen=True, eq=False)
class HabitsJudge:
    """Tells habits of people from those of thieves that the owner plays himself.

    A linear discriminant for each number of events, calibrated on other honest accounts.

    Attributes:
        checkpoints: ``(C,)`` numbers of events at which an account is judged.
        weights: ``(C, F + 1)``, the constant last.
        calibration: scores of honest accounts that nothing was fitted to.
    """

    checkpoints: IntArray
    weights: FloatArray
    calibration: Calibration

    @classmethod
    def fit(
        cls,
        checkpoints: Sequence[int],
        *,
        honest: Sequence[FloatArray],
        thieves: Sequence[FloatArray],
        calibrate: Sequence[FloatArray],
    ) -> Self:
        """Fit to habits ``(., F)``, measured at each checkpoint."""
        weights, scores = [], []
        for people, others, unseen in zip(honest, thieves, calibrate, strict=True):
            judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
            judge.fit(np.r_[people, others], np.r_[np.zeros(len(people)), np.ones(len(others))])
            weights.append(np.r_[judge.coef_[0], judge.intercept_])
            scores.append(unseen @ weights[-1][:-1] + weights[-1][-1])
        at = np.array(checkpoints, dtype=np.int64)
        return cls(at, np.array(weights), Calibration(at, tuple(scores)))

    def scores(self, measured: FloatArray, events: int) -> FloatArray:
        """Log odds ``(B,)`` of a thief for habits ``(B, F)`` measured after so many events."""
        weights = self.weights[int(np.flatnonzero(self.checkpoints == events)[0])]
        found: FloatArray = measured @ weights[:-1] + weights[-1]
        return found

    def p_values(self, scores: FloatArray, events: int) -> FloatArray:
        """Of scores ``(B,)`` after so many events."""
        return self.calibration.p_values(scores, np.full(len(scores), events))

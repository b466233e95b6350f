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

    A linear discriminant for each number of events and each kind of thief: machines and imitators
    differ from people in opposite directions, and one discriminant for both sees neither well. The
    score is the largest of them, each on the scale of honest accounts (median 0, 99 % at 1), and is
    calibrated on other honest accounts.

    Attributes:
        checkpoints: ``(C,)`` numbers of events at which an account is judged.
        weights: ``(C, K, F + 1)``, the constant last.
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
        thieves: Sequence[Sequence[FloatArray]],
        calibrate: Sequence[FloatArray],
    ) -> Self:
        """Fit to habits ``(., F)``, measured at each checkpoint; of thieves for each kind."""
        weights = np.array(
            [[_direction(people, kind[at]) for kind in thieves] for at, people in enumerate(honest)]
        )
        scores = (_largest(unseen, own) for unseen, own in zip(calibrate, weights, strict=True))
        events = np.array(checkpoints, dtype=np.int64)
        return cls(events, weights, Calibration(events, tuple(scores)))

    def scores(self, measured: FloatArray, events: int) -> FloatArray:
        """How much like a thief's are habits ``(B, F)`` measured after so many events, ``(B,)``."""
        return _largest(measured, self.weights[int(np.searchsorted(self.checkpoints, events))])

    def p_values(self, scores: FloatArray, events: int) -> FloatArray:
        """Of scores ``(B,)`` after so many events."""
        return self.calibration.p_values(scores, np.full(len(scores), events))


def _direction(people: FloatArray, thieves: FloatArray) -> FloatArray:
    """``(F + 1,)`` a discriminant under which people have median 0 and 99 % of them at most 1."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # takes half a second

    judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
    judge.fit(np.concatenate([people, thieves]), np.repeat([0.0, 1.0], [len(people), len(thieves)]))
    middle, high = np.quantile(people @ judge.coef_[0], [0.5, 0.99])
    found: FloatArray = np.append(judge.coef_[0], -middle) / max(high - middle, 1e-9)
    return found


def _largest(measured: FloatArray, weights: FloatArray) -> FloatArray:
    """Of the discriminants ``(K, F + 1)``, for each row."""
    found: FloatArray = (measured @ weights[:, :-1].T + weights[:, -1]).max(axis=1)
    return found

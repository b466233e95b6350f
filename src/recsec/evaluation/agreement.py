"""Fidelity: how alike two answerers are on the histories of real users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsec.data.sequences import Split, Stage
from recsec.evaluation.answers import BATCH, answer_lists
from recsec.evaluation.estimates import paired_estimates
from recsec.metrics.fidelity import agreement, kendall_tau, rbo
from recsec.models.base import Recommender
from recsec.stats import Estimate
from recsec.types import Answerer, FloatArray, IntArray, Progress

__all__ = ["FIDELITY_CUTOFFS", "Fidelity", "fidelity", "fidelity_of_lists"]

FIDELITY_CUTOFFS = (1, 5, 10, 20)
PERSISTENCE = 0.9


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Per-user likeness of two answerers.

    Attributes:
        users: ``(U,)`` user numbers.
        surrogate_lists: ``(U, K)`` catalog indices.
        target_lists: ``(U, K)`` catalog indices.
        protocol: how it was measured, one line.
    """

    users: IntArray
    surrogate_lists: IntArray
    target_lists: IntArray
    protocol: str

    @cached_property
    def values(self) -> dict[str, FloatArray]:
        """``(U,)`` per metric: ``agr@1/5/10/20`` as far as the lists reach, ``rbo`` and ``tau``."""
        surrogate, target = self.surrogate_lists, self.target_lists
        columns = {
            f"agr@{k}": agreement(surrogate, target, k)
            for k in FIDELITY_CUTOFFS
            if k <= surrogate.shape[1]
        }
        columns["rbo"] = rbo(surrogate, target, PERSISTENCE)
        columns["tau"] = kendall_tau(surrogate, target)
        return columns

    def estimates(self, rng: np.random.Generator) -> dict[str, Estimate]:
        """Means over users with 95 % intervals, users drawn once for all metrics."""
        return paired_estimates(self.values, rng)


def fidelity_of_lists(
    surrogate_lists: IntArray,
    target_lists: IntArray,
    *,
    users: IntArray | None = None,
    stage: Stage = "test",
) -> Fidelity:
    """``fidelity`` where the lists ``(U, K)`` of both are at hand, row u for the same user."""
    if surrogate_lists.shape != target_lists.shape:
        raise ValueError(
            f"lists of one shape are needed, got {surrogate_lists.shape}, {target_lists.shape}"
        )
    chosen = np.arange(len(target_lists)) if users is None else users
    known = "train and validation items" if stage == "test" else "train items"
    return Fidelity(
        users=chosen,
        surrogate_lists=surrogate_lists,
        target_lists=target_lists,
        protocol=(
            f"fidelity on the histories ({known}) of {len(chosen)} users, full catalog, history "
            f"items excluded; rbo (p = {PERSISTENCE}) and tau on the first "
            f"{target_lists.shape[1]} places"
        ),
    )


def fidelity(
    surrogate: Recommender | Answerer,
    target: Recommender | Answerer,
    split: Split,
    *,
    users: IntArray | None = None,
    stage: Stage = "test",
    k: int = 20,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Fidelity:
    """Ask both for the lists of the same users and compare them.

    Args:
        surrogate: the copy.
        target: the original, as its owner reaches it.
        split: the users; histories are all items before the held-out one.
        users: ``(U,)`` user numbers, by default all.
        stage: which item is held out.
        k: list length asked for; metrics at longer cutoffs are left out.
        batch: histories asked at a time.
        progress: told after each batch.
    """
    lists = [
        answer_lists(source, split, k, stage=stage, users=users, batch=batch, progress=progress)
        for source in (surrogate, target)
    ]
    return fidelity_of_lists(lists[0], lists[1], users=users, stage=stage)

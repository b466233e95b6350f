"""What a goal is judged by: whose list is read, and which way the place in it should go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsec.models import ExactIndex
from recsec.types import FloatArray, IntArray

__all__ = ["GOALS", "Goal", "Ranking", "query_ranks", "ranking_of"]

Goal: TypeAlias = Literal["cosine", "features", "demotion", "lists", "query"]
GOALS: tuple[str, ...] = get_args(Goal)
BLOCK = 1 << 14
"""Catalog vectors per matrix product."""
TIE = 1e-12
"""Sums of products in float64 that differ by less may be equal in exact arithmetic."""


@dataclass(frozen=True)
class Ranking:
    """A place in a list, and which places the attacker wants.

    Attributes:
        owner: whose list. "target": the place of the photo among the neighbors of the target
            item. "query": the place of the target item in the answer to the photo.
        away: late places are wanted, not early ones.
    """

    owner: Literal["target", "query"] = "target"
    away: bool = False

    def ranks(
        self,
        index: ExactIndex,
        embeddings: Float[Tensor, "B D"],
        targets: Int[Tensor, " B"],
        attackers: Int[Tensor, " B"],
    ) -> Int[Tensor, " B"]:
        """The exact place, 1 is first; see ``ExactIndex.rank`` and ``query_ranks``."""
        if self.owner == "query":
            return query_ranks(index, embeddings, targets, attackers)
        return index.rank(embeddings, targets, attackers)

    def reached(self, ranks: IntArray, r: int) -> npt.NDArray[np.bool_]:
        """Which places are what is wanted: among the first ``r``, or no longer among them."""
        return ranks > r if self.away else ranks <= r

    def better(
        self, ranks: IntArray, cosines: FloatArray, others: tuple[IntArray, FloatArray]
    ) -> npt.NDArray[np.bool_]:
        """Where a place is at least as good as the ``others``; the cosine decides between equals.

        >>> Ranking().better(np.array([2, 3]), np.array([0.5, 0.5]), (np.array([3, 3]),
        ...                  np.array([0.9, 0.6]))).tolist()
        [True, False]
        """
        sign = -1 if self.away else 1
        nearer = sign * (ranks - others[0])
        closer = sign * (cosines - others[1]) >= 0
        best: npt.NDArray[np.bool_] = (nearer < 0) | ((nearer == 0) & closer)
        return best


OF_TARGET = Ranking()
"""The place of the photo in the list of the target item."""


def ranking_of(goal: Goal) -> Ranking:
    """What a goal is judged by."""
    return Ranking("query" if goal == "query" else "target", away=goal == "demotion")


def query_ranks(
    index: ExactIndex,
    embeddings: Float[Tensor, "B D"],
    targets: Int[Tensor, " B"],
    attackers: Int[Tensor, " B"],
) -> Int[Tensor, " B"]:
    """The place of each target item in the answer to its perturbed photo; 1 is first.

    It is 1 + the number of catalog vectors whose cosine to the embedding is at least that of the
    target. The photo's own (clean) vector does not count; ties count against the attacker.
    Computed in float64.

    Args:
        index: the catalog that answers.
        embeddings: the perturbed photos.
        targets: rows of the items that should be listed.
        attackers: rows of the photos that were perturbed.
    """
    queries = embeddings.double()
    least = (queries * index.vectors[targets].double()).sum(1) - TIE
    counts = torch.ones_like(targets)
    columns = torch.arange(len(targets), device=targets.device)
    for start in range(0, len(index), BLOCK):
        reached = queries @ index.vectors[start : start + BLOCK].double().T >= least[:, None]
        for left_out in (targets, attackers):
            inside = (left_out >= start) & (left_out < start + BLOCK)
            reached[columns[inside], left_out[inside] - start] = False
        counts += reached.sum(1)
    return counts

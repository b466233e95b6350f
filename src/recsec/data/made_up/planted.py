"""The law of the made-up data, and the best possible ranker that follows from it.

Every next item depends on the last one only. With probability ``restart`` it comes from the whole
catalog by popularity; else with probability ``chain`` from a few planted successors of the last
item; else from a cluster reached by a planted chain over clusters (a cluster is a genre), by
popularity inside it. Items that the user already has are never drawn. So the best list for a
history is: all other items, sorted by the probability of following its last item, and no ranker
has a higher expected HR@k, for any k.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsec.data.catalog import Catalog
from recsec.types import Answerer, FloatArray, IntArray

__all__ = ["SUCCESSORS", "Plant", "best_answer", "optimal_scores"]

SUCCESSORS = np.array([0.4, 0.3, 0.2, 0.1])
"""How likely each planted successor of an item is, first to last."""


@dataclass(frozen=True, eq=False)
class Plant:
    """The planted law. Index 0 is padding and has no probability.

    Attributes:
        popularity: ``(N + 1,)`` probability of each item when starting over.
        cluster: ``(N + 1,)`` cluster of each item, -1 for padding.
        moves: ``(C, C)`` probability of the next cluster given the last.
        successors: ``(N + 1, 4)`` planted successors of each item; may repeat.
        chain: share of steps that follow them.
        restart: share of steps that start over.
    """

    popularity: FloatArray
    cluster: IntArray
    moves: FloatArray
    successors: IntArray
    chain: float
    restart: float

    @cached_property
    def by_cluster(self) -> IntArray:
        """``(N,)`` items sorted by cluster."""
        return np.argsort(self.cluster[1:], kind="stable") + 1

    @cached_property
    def edges(self) -> FloatArray:
        """``(C + 1,)`` popularity summed up to each cluster, in the order of ``by_cluster``."""
        sizes = np.bincount(
            self.cluster[1:], weights=self.popularity[1:], minlength=len(self.moves)
        )
        return np.concatenate([[0.0], np.cumsum(sizes)])

    def probabilities(self, last: IntArray) -> FloatArray:
        """Law of the next item before known items are left out.

        Args:
            last: ``(B,)`` the last item of each history; 0 for an empty one.

        Returns:
            ``(B, N + 1)`` float64, rows sum to 1.
        """
        mass = np.diff(self.edges)[self.cluster[1:]]
        inside = self.popularity.copy()
        inside[1:] /= mass
        rows = (1 - self.restart - self._chained) * self.moves[self.cluster[last]][
            :, self.cluster
        ] * inside + self.restart * self.popularity
        at = np.arange(len(last))[:, None]
        np.add.at(rows, (at, self.successors[last]), self._chained * SUCCESSORS)
        rows[last == 0] = self.popularity
        return rows

    def draw(self, last: IntArray, rng: np.random.Generator) -> IntArray:
        """One next item for each history, by ``probabilities`` but without forming them.

        Args:
            last: ``(B,)``; 0 for an empty history.
            rng: the source of chance.
        """
        way, where = rng.random(len(last)), rng.random(len(last))
        anywhere = (last == 0) | (way < self.restart)
        chained = ~anywhere & (way < self.restart + self._chained)
        moved = ~anywhere & ~chained
        out = np.empty(len(last), dtype=np.int64)
        total = self._cumulative[-1]
        out[anywhere] = self._pick(where[anywhere] * total)
        pick = np.searchsorted(np.cumsum(SUCCESSORS)[:-1], where[chained], side="right")
        out[chained] = self.successors[last[chained], pick]
        out[moved] = self._in_cluster(self._move(last[moved], rng), where[moved])
        return out

    @property
    def _chained(self) -> float:
        return (1 - self.restart) * self.chain

    @cached_property
    def _cumulative(self) -> FloatArray:
        return np.cumsum(self.popularity[self.by_cluster])

    def _move(self, last: IntArray, rng: np.random.Generator) -> IntArray:
        bounds = np.cumsum(self.moves, axis=1)[self.cluster[last], :-1]
        moved: IntArray = (rng.random(len(last))[:, None] > bounds).sum(axis=1)
        return moved

    def _in_cluster(self, cluster: IntArray, where: FloatArray) -> IntArray:
        low, high = self.edges[cluster], self.edges[cluster + 1]
        return self._pick(low + where * (high - low))

    def _pick(self, heights: FloatArray) -> IntArray:
        place = np.searchsorted(self._cumulative, heights, side="right")
        return self.by_cluster[np.minimum(place, len(self.by_cluster) - 1)]


def optimal_scores(law: Plant, histories: IntArray) -> FloatArray:
    """Score of every item for every history; no ranker has a higher expected HR@k.

    Args:
        law: what the data was drawn from.
        histories: ``(B, L)`` items 1..N, zeros on the right.

    Returns:
        ``(B, N + 1)`` float64: the probability of following the last item, -inf for padding and
        for items of the history.
    """
    lengths = (histories > 0).sum(axis=1)
    at = np.arange(len(histories))
    last = np.where(lengths > 0, histories[at, np.maximum(lengths - 1, 0)], 0)
    scores = law.probabilities(last)
    np.put_along_axis(scores, histories, -np.inf, axis=1)
    scores[:, 0] = -np.inf
    return scores


def best_answer(law: Plant, catalog: Catalog) -> Answerer:
    """The best possible ranker for a data set drawn from ``law``, in its catalog's indices.

    Ids of made-up items are 1..N, so a catalog that filters made smaller still fits.
    """
    ids = np.concatenate([[0], catalog.ids]).astype(np.int64)

    def answer(histories: IntArray, k: int) -> IntArray:
        scores = optimal_scores(law, ids[histories])[:, ids]
        scores[:, 0] = -np.inf
        lists: IntArray = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.where(np.isfinite(np.take_along_axis(scores, lists, axis=1)), lists, 0)

    return answer

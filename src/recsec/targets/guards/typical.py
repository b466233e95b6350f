"""Does a history look like a person's? Judged by the ranks that its own items had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy.special import gammaln, logsumexp
from torch import Tensor

from recsec.data.sequences import pad
from recsec.models.base import Recommender
from recsec.models.neural import CausalRecommender
from recsec.types import FloatArray, IntArray

__all__ = ["RankLaw", "own_ranks"]

NEWEST = 50
"""Items of a history that are looked at."""

CELLS = 2_000_000
"""Scores that are held at once: 8 MB."""

SERVED = (10, 100)
"""Lengths of the lists that an unnatural history is taken from."""

EXPLORED = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75)
"""Shares of its items that come from the whole catalog instead; and all of them."""

SAMENESS = 20.0
"""How alike the histories of one policy are: parameter of their Dirichlet law."""

RESIDUE = 0.02
"""Of an unnatural history: items as a person would choose them."""


def own_ranks(recommender: Recommender, histories: IntArray) -> IntArray:
    """At which rank stood each item of a history, given the items before it?

    Only the newest ``NEWEST`` items count, and nothing before them is known. Items that stood
    earlier are not ranked, as in a served list; equal scores count in favor of the item.

    Args:
        recommender: who ranks; a causal one scores all prefixes in one pass.
        histories: ``(B, L)`` int64, zeros on the right.

    Returns:
        ``(B, NEWEST - 1)`` int64: rank of the second item, the third, ...; zeros after the last.
    """
    lengths = (histories > 0).sum(axis=1)
    newest = pad(
        (row[max(0, n - NEWEST) : n] for row, n in zip(histories, lengths, strict=True)),
        length=NEWEST,
    )
    ranks = np.zeros((len(newest), NEWEST - 1), dtype=np.int64)
    rows = max(1, CELLS // (NEWEST * (len(recommender.catalog) + 1)))
    for start in range(0, len(newest), rows):
        part = newest[start : start + rows]
        if part.shape[1] > 1:
            ranks[start : start + rows, : part.shape[1] - 1] = _ranks(recommender, part)
    return ranks


def _ranks(recommender: Recommender, windows: IntArray) -> IntArray:
    """``(B, L - 1)`` for windows ``(B, L)``."""
    items = torch.from_numpy(windows)
    chosen = items[:, 1:]
    scores = _prefix_scores(recommender, windows)
    own = scores.gather(2, chosen[:, :, None])
    better = (scores > own).sum(dim=2, dtype=torch.int32)
    first = torch.ones_like(items, dtype=torch.bool)
    for at in range(1, items.shape[1]):
        first[:, at] = (items[:, :at] != items[:, at : at + 1]).all(dim=1)
    of_items = scores.gather(2, items[:, None, :].expand(-1, chosen.shape[1], -1))
    before = torch.ones(chosen.shape[1], items.shape[1], dtype=torch.bool).tril()
    seen = (of_items > own) & before & (first & (items > 0))[:, None, :]
    ranks: IntArray = ((better - seen.sum(dim=2) + 1) * (chosen > 0)).numpy()
    return ranks


def _prefix_scores(recommender: Recommender, windows: IntArray) -> Tensor:
    """``(B, L - 1, N + 1)``: scores after the first item, the first two, ..."""
    batch, length = windows.shape
    if isinstance(recommender, CausalRecommender) and length - 1 <= recommender.reach:
        return recommender.prefix_scores(windows[:, :-1])
    prefixes = np.tril(np.ones((length - 1, length - 1), dtype=np.int64))
    asked = (windows[:, None, :-1] * prefixes).reshape(batch * (length - 1), length - 1)
    return recommender.scores(asked).view(batch, length - 1, -1)


def _edges(items: int) -> IntArray:
    """First ranks of the bins: 1, 2, 4, 6, 11, 21, 51, 101, ...

    >>> _edges(60)
    array([ 1,  2,  4,  6, 11, 21, 51])
    """
    steps = [1, 2, 4, *(10**power * step + 1 for power in range(9) for step in (0.5, 1, 2, 5))]
    found = np.unique(np.array([step for step in steps if step in (1, 2, 4) or step > 5]))
    return found[found <= items].astype(np.int64)


@dataclass(frozen=True, eq=False)
class RankLaw:
    """How people's own ranks scatter over bins, and how those of machines do.

    People differ, so the counts of a history follow a Dirichlet-multinomial law. Of machines it is
    known that they take items from the lists that they are served, or from anywhere in the
    catalog: an even mixture over lengths of lists and shares of exploration.

    Attributes:
        edges: ``(W,)`` first rank of each bin.
        honest: ``(W,)`` Dirichlet parameters of people.
        machines: ``(M, W)`` Dirichlet parameters of machines.
    """

    edges: IntArray
    honest: FloatArray
    machines: FloatArray

    @classmethod
    def fit(cls, ranks: IntArray, items: int) -> Self:
        """From the ranks ``(B, NEWEST - 1)`` of honest histories; moments, no iteration."""
        edges = _edges(items)
        width = len(edges)
        counts = _binned(ranks, edges)
        mean = (counts.sum(axis=0) + 1) / (counts.sum() + width)
        n = counts.sum(axis=1)
        counts, n = counts[n > 1], n[n > 1]
        away = ((counts / n[:, None] - mean) ** 2 / mean).sum(axis=1)
        # E[away] = (W - 1) / n * (1 + (n - 1) rho), and rho = 1 / (1 + sum of the parameters)
        spread = np.sum((width - 1) * (n - 1) / n)
        rho = float(np.clip(np.sum(away - (width - 1) / n) / spread, 1e-3, 0.5)) if len(n) else 0.5
        everywhere = np.diff([*edges, items + 1]) / items
        laws = [everywhere]
        for length in SERVED:
            taken = np.clip(np.diff([*edges, length + 1]), 0, np.maximum(length + 1 - edges, 0))
            taken = taken / taken.sum()
            laws += [(1 - share) * taken + share * everywhere for share in EXPLORED]
        machines = SAMENESS * ((1 - RESIDUE) * np.array(laws) + RESIDUE * mean)
        return cls(edges, mean * (1 - rho) / rho, machines)

    def suspicion(self, ranks: IntArray) -> FloatArray:
        """``log P(ranks | machine) - log P(ranks | person)`` of each row, in nats."""
        counts = _binned(ranks, self.edges)
        machine = np.stack([_log_likelihood(counts, law) for law in self.machines])
        mixture = logsumexp(machine, axis=0) - np.log(len(self.machines))
        found: FloatArray = mixture - _log_likelihood(counts, self.honest)
        return found


def _binned(ranks: IntArray, edges: IntArray) -> IntArray:
    """``(B, W)`` how many ranks of each row fall into each bin; zeros are no ranks."""
    bins = np.searchsorted(edges, ranks, side="right")
    found = np.zeros((len(ranks), len(edges) + 1), dtype=np.int64)
    np.add.at(found, (np.arange(len(ranks))[:, None], bins), 1)
    return found[:, 1:]


def _log_likelihood(counts: IntArray, law: FloatArray) -> FloatArray:
    """Of counts ``(B, W)`` in an order, under Dirichlet parameters ``(W,)``."""
    total = law.sum()
    whole = gammaln(total) - gammaln(total + counts.sum(axis=1))
    found: FloatArray = whole + (gammaln(counts + law) - gammaln(law)).sum(axis=1)
    return found

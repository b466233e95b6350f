"""Does a history look like a person's? Judged by the ranks that its own items had."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Self

import numpy as np
import torch
from scipy.special import gammaln, logsumexp
from torch import Tensor

from recsec.errors import ConfigError
from recsec.models.base import Recommender
from recsec.models.sequential.neural import CausalRecommender
from recsec.runs import atomic_write_json
from recsec.types import FloatArray, IntArray

__all__ = ["RankLaw", "binned", "keep_ranks", "own_ranks", "read_ranks"]

NEWEST = 50
"""Items of a history that are judged, the newest; what came before them is known."""

CELLS = 2_000_000
"""Scores that are held at once: 8 MB."""

SERVED = (10, 100)
"""Lengths of the lists that a machine takes items from."""

STEEPNESS = (0.0, 1.0)
"""A rank r of such a list is taken with weight ``r ** -steepness``."""

EXPLORED = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75)
"""Shares of a machine's items that come from the whole catalog instead; and all of them."""

SAMENESS = 20.0
"""How alike the histories of one policy are: parameter of their Dirichlet law."""

RESIDUE = 0.02
"""Of an unnatural history: items as a person would choose them."""


def own_ranks(
    recommender: Recommender, histories: IntArray, instead: IntArray | None = None
) -> IntArray:
    """At which rank stood each of the newest items of a history, given the items before it?

    As in a served list, earlier items of the history are not ranked. Equal scores count in favor
    of the item.

    Args:
        recommender: who ranks; a causal one scores all prefixes in one pass.
        histories: ``(B, L)`` int64, zeros on the right.
        instead: ``(B, NEWEST)`` items that are ranked in place of the newest ones.

    Returns:
        ``(B, NEWEST)`` int64, the oldest first; zeros on the right where a history has fewer items
        that follow another.
    """
    ranks = np.zeros((len(histories), NEWEST), dtype=np.int64)
    rows = max(1, CELLS // (NEWEST * (len(recommender.catalog) + 1)))
    for start in range(0, len(histories), rows):
        part = np.ascontiguousarray(histories[start : start + rows])
        lengths = (part > 0).sum(axis=1)
        if lengths.max(initial=0) < 2:
            continue
        part = part[:, : lengths.max()]
        ends = np.maximum(lengths - NEWEST, 1)[:, None] + np.arange(min(NEWEST, part.shape[1] - 1))
        ranked = ends < lengths[:, None]
        ends = np.where(ranked, ends, 1)
        chosen = np.take_along_axis(part, ends, axis=1)
        if instead is not None:
            chosen = instead[start : start + rows, : ends.shape[1]]
        found = _ranks(recommender, part, ends, chosen)
        ranks[start : start + rows, : ends.shape[1]] = np.where(ranked, found, 0)
    return ranks


def _ranks(
    recommender: Recommender, histories: IntArray, ends: IntArray, choices: IntArray
) -> IntArray:
    """Rank of each of ``choices (B, T)`` after the first ``ends (B, T)`` items."""
    scores = _prefix_scores(recommender, histories, ends)
    items, bounds = torch.from_numpy(histories), torch.from_numpy(ends)
    own = scores.gather(2, torch.from_numpy(choices)[:, :, None])
    better = (scores > own).sum(dim=2, dtype=torch.int32)
    again = (items[:, :, None] == items[:, None, :]).tril(-1).any(dim=2)
    once = (items > 0) & ~again
    before = torch.arange(items.shape[1]) < bounds[:, :, None]
    of_items = scores.gather(2, items[:, None, :].expand(-1, ends.shape[1], -1))
    seen = ((of_items > own) & before & once[:, None, :]).sum(dim=2)
    ranks: IntArray = (better - seen + 1).numpy()
    return ranks


def _prefix_scores(recommender: Recommender, histories: IntArray, ends: IntArray) -> Tensor:
    """``(B, T, N + 1)``: scores after the first ``ends (B, T)`` items of each history."""
    if isinstance(recommender, CausalRecommender) and recommender.reach > NEWEST:
        return recommender.prefix_scores(histories, ends)
    kept = np.arange(histories.shape[1]) < ends[:, :, None]
    prefixes = np.where(kept, histories[:, None, :], 0).reshape(-1, histories.shape[1])
    return recommender.scores(prefixes).view(*ends.shape, -1)


def keep_ranks(path: Path, ranks: IntArray, *, items: int) -> None:
    """Write ``own_ranks`` of people down, for a guard to be fitted to."""
    atomic_write_json(path, {"items": items, "ranks": ranks.tolist()})


def read_ranks(path: Path, *, items: int) -> IntArray:
    """What ``keep_ranks`` wrote down, ``(B, NEWEST)``.

    Raises:
        ConfigError: there is no such file, it holds something else, or ranks of another catalog.
    """
    hint = "recsec evaluate --guard misinform --unseen 1000 --people FILE writes it"
    try:
        found = json.loads(path.expanduser().read_text(encoding="utf-8"))
        ranks = np.array(found["ranks"], dtype=np.int64)
        whole = ranks.shape[1:] == (NEWEST,) and len(ranks) > 1 and bool((ranks >= 0).all())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        whole = False
    if not whole:
        raise ConfigError(f"{path} holds no ranks of people", hint=hint)
    if found.get("items") != items:
        raise ConfigError(f"the ranks in {path} are not of these {items} items", hint=hint)
    return ranks


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
    known that they take items from the lists that they are served, or from the catalog, whatever
    the history: evenly or by popularity. All such laws together are an even mixture.

    Attributes:
        edges: ``(W,)`` first rank of each bin.
        honest: ``(W,)`` Dirichlet parameters of people.
        machines: ``(M, W)`` Dirichlet parameters of machines.
    """

    edges: IntArray
    honest: FloatArray
    machines: FloatArray

    @classmethod
    def fit(cls, ranks: IntArray, popular: IntArray, items: int) -> Self:
        """By moments, without iteration.

        Args:
            ranks: ``(B, NEWEST)`` of the items of honest histories.
            popular: the same of items drawn by popularity in their places.
            items: N.
        """
        edges = _edges(items)
        width = len(edges)
        counts = binned(ranks, edges)
        mean = (counts.sum(axis=0) + 1) / (counts.sum() + width)
        n = counts.sum(axis=1)
        counts, n = counts[n > 1], n[n > 1]
        away = ((counts / n[:, None] - mean) ** 2 / mean).sum(axis=1)
        # E[away] = (W - 1) / n * (1 + (n - 1) rho), and rho = 1 / (1 + sum of the parameters)
        spread = np.sum((width - 1) * (n - 1) / n)
        rho = float(np.clip(np.sum(away - (width - 1) / n) / spread, 1e-3, 0.5)) if len(n) else 0.5
        everywhere = np.diff([*edges, items + 1]) / items
        liked = binned(popular, edges).sum(axis=0) + everywhere
        catalog = [everywhere, liked / liked.sum()]
        laws = [*catalog]
        for length, steepness in product(SERVED, STEEPNESS):
            weights = np.arange(1, min(length, items) + 1) ** -steepness
            taken = binned(np.arange(1, len(weights) + 1)[:, None], edges).T @ weights
            for share, other in product(EXPLORED, catalog):
                laws.append((1 - share) * taken / taken.sum() + share * other)
        machines = SAMENESS * ((1 - RESIDUE) * np.array(laws) + RESIDUE * mean)
        return cls(edges, mean * (1 - rho) / rho, machines)

    def suspicion(self, ranks: IntArray) -> FloatArray:
        """``log P(ranks | machine) - log P(ranks | person)`` of each row, in nats."""
        counts = binned(ranks, self.edges)
        machine = np.stack([_log_likelihood(counts, law) for law in self.machines])
        mixture = logsumexp(machine, axis=0) - np.log(len(self.machines))
        found: FloatArray = mixture - _log_likelihood(counts, self.honest)
        return found


def binned(ranks: IntArray, edges: IntArray) -> IntArray:
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

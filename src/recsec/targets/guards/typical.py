"""Does a history look like a person's? Judged by the ranks that its own items had."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Self

import numpy as np
import scipy
import torch
from torch import Tensor

from recsec.errors import ConfigError
from recsec.models.base import Recommender
from recsec.models.sequential.neural import CausalRecommender
from recsec.runs import atomic_write_json
from recsec.types import FloatArray, IntArray

__all__ = ["KeptRanks", "RankLaw", "binned", "keep_ranks", "own_ranks", "read_ranks"]

NEWEST = 50
"""Items of a history that are judged, the newest; what came before them is known."""

CELLS = 2_000_000
"""Scores that are held at once: 8 MB."""

KEPT = 16_000_000
"""Scores that are kept for histories that may grow: 64 MB, 4,700 histories of 3,416 items."""

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


class KeptRanks:
    """``own_ranks`` of histories that grow: what was found out before is kept.

    The rank of an item never changes, and that of a new one follows from the scores with which the
    history before it was answered: one comparison instead of a pass over the whole history. What is
    not known is found by ``own_ranks``. Both count the same scores, up to the rounding of a sum in
    another order; a history longer than a causal recommender sees is always looked at anew, because
    there the two see different items.

    Args:
        recommender: who ranks.
        kept: scores that are kept, the newest.
    """

    def __init__(self, recommender: Recommender, *, kept: int = KEPT) -> None:
        self.recommender = recommender
        width = len(recommender.catalog) + 1
        self.room = kept // width
        self.longest = recommender.reach if isinstance(recommender, CausalRecommender) else None
        if self.longest is not None and self.longest <= NEWEST:
            self.longest = None
        self._rows: OrderedDict[bytes, tuple[IntArray, Tensor]] = OrderedDict()

    def ranks(self, histories: IntArray, scores: Tensor) -> IntArray:
        """See ``own_ranks``.

        Args:
            histories: ``(B, L)`` int64, zeros on the right.
            scores: ``(B, N + 1)`` of these histories by the recommender; history items may be -inf.
        """
        lengths = (histories > 0).sum(axis=1)
        keys = [row[:n].tobytes() for row, n in zip(histories, lengths.tolist(), strict=True)]
        ranks = np.zeros((len(histories), NEWEST), dtype=np.int64)
        grown: list[int] = []
        before: list[Tensor] = []
        unknown: list[int] = []
        for row, key in enumerate(keys):
            n = int(lengths[row])
            same, parent = self._rows.get(key), self._rows.get(key[:-8])
            if n < 2:
                continue
            if same is not None:
                ranks[row] = same[0]
            elif parent is None or (self.longest is not None and n > self.longest):
                unknown.append(row)
            else:
                ranks[row] = parent[0]
                grown.append(row)
                before.append(parent[1])
        if grown:
            newest = histories[grown, lengths[grown] - 1]
            unknown += self._grow(ranks, np.array(grown), lengths, torch.stack(before), newest)
        if unknown:
            ranks[unknown] = own_ranks(self.recommender, histories[unknown])
        self._keep(keys, histories, ranks, scores)
        return ranks

    @staticmethod
    def _grow(
        ranks: IntArray, rows: IntArray, lengths: IntArray, before: Tensor, newest: IntArray
    ) -> list[int]:
        """Add the rank of the newest item; gives the rows where it is in the history already."""
        own = before.gather(1, torch.from_numpy(newest)[:, None])
        found = (before > own).sum(dim=1).numpy() + 1
        places = lengths[rows] - 2
        full = rows[places >= NEWEST]
        ranks[full, :-1] = ranks[full, 1:]
        ranks[rows, np.minimum(places, NEWEST - 1)] = found
        again: list[int] = rows[torch.isneginf(own[:, 0]).numpy()].tolist()
        return again

    def _keep(
        self, keys: Sequence[bytes], histories: IntArray, ranks: IntArray, scores: Tensor
    ) -> None:
        if self.room < 1:
            return
        rows = scores.clone()
        rows.scatter_(1, torch.from_numpy(np.ascontiguousarray(histories)), float("-inf"))
        for row, key in enumerate(keys):
            self._rows[key] = (ranks[row], rows[row].clone() if len(keys) > 1 else rows[row])
            self._rows.move_to_end(key)
        while len(self._rows) > self.room:
            self._rows.popitem(last=False)


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
        whole, of_bins = self._tables
        n = counts.sum(axis=1)
        bins = np.arange(counts.shape[1])
        likely = whole[:, n] + of_bins[:, bins, counts].sum(axis=2)
        mixture = scipy.special.logsumexp(likely[1:], axis=0) - np.log(len(self.machines))
        found: FloatArray = mixture - likely[0]
        return found

    @cached_property
    def _tables(self) -> tuple[FloatArray, FloatArray]:
        """What counts of 0 to ``NEWEST`` add to the log-likelihood under each law, people first.

        For all ranks together ``(1 + M, NEWEST + 1)``, and by bin ``(1 + M, W, NEWEST + 1)``.
        """
        laws = np.concatenate([self.honest[None], self.machines])
        counts, total = np.arange(NEWEST + 1), laws.sum(axis=1, keepdims=True)
        log_gamma = scipy.special.gammaln
        whole = log_gamma(total) - log_gamma(total + counts)
        return whole, log_gamma(counts + laws[:, :, None]) - log_gamma(laws)[:, :, None]


def binned(ranks: IntArray, edges: IntArray) -> IntArray:
    """``(B, W)`` how many ranks of each row fall into each bin; zeros are no ranks."""
    bins = np.searchsorted(edges, ranks, side="right")
    found = np.zeros((len(ranks), len(edges) + 1), dtype=np.int64)
    np.add.at(found, (np.arange(len(ranks))[:, None], bins), 1)
    return found[:, 1:]

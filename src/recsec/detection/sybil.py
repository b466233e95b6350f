"""Sybils: accounts whose queries form one cluster are linked.

A thief who splits a theft over many accounts leaves two traces. Either one account goes on where
another stopped, or each runs sessions of its own by one policy, and then what they ask for on
average is more alike than people's tastes are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy

from recsec.traffic import QueryLog
from recsec.types import FloatArray, IntArray

__all__ = ["MOST", "Linker"]

LONG = 3
"""Items from which on a history is unlikely to be shared by chance."""

SHARED = 2
"""Continued or equal histories that link two accounts."""

MOST = 2000
"""Accounts compared with each other; of more, the first."""

FACTOR = np.uint64(0x9E3779B97F4A7C15)


def _hashes(items: IntArray, lengths: IntArray) -> npt.NDArray[np.uint64]:
    """A 64-bit number for each of the flat ordered histories."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    place = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
    mixed = (items.astype(np.uint64) * np.uint64(2_654_435_761) + np.uint64(97)) * (
        place.astype(np.uint64) * FACTOR | np.uint64(1)
    )
    mixed ^= mixed >> np.uint64(29)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed * FACTOR, dtype=np.uint64)])
    out: npt.NDArray[np.uint64] = sums[offsets[1:]] - sums[offsets[:-1]]
    return out


@dataclass(frozen=True, eq=False)
class Linker:
    """Links accounts by what they ask: average linkage on the distances of their mean items.

    Accounts that continue each other have distance 0.

    Attributes:
        vectors: ``(N + 1, E)`` unit item vectors.
        near: mean distance of item vectors within a cluster: that of the closest 5 % of pairs of
            honest accounts.
    """

    vectors: npt.NDArray[np.float32]
    near: float

    @classmethod
    def fit(cls, vectors: npt.NDArray[np.float32], log: QueryLog, *, share: float = 0.05) -> Self:
        """Learn from honest accounts how alike people's tastes get by chance."""
        blank = cls(vectors, 0.0)
        names = list(dict.fromkeys(log.calls.account))[:MOST]
        distances = scipy.spatial.distance.pdist(blank.profiles(log, names))
        near = float(np.quantile(distances, share)) if len(distances) else 0.0
        return cls(vectors, near)

    def profiles(self, log: QueryLog, accounts: Sequence[str]) -> FloatArray:
        """``(A, E)`` mean vector of the items that the queries of each account added."""
        codes = self._codes(log, accounts)
        items = log.calls.items.astype(np.int64)
        owner = np.repeat(codes, np.diff(log.calls.offsets))
        chosen = owner >= 0
        shape = (len(accounts), len(self.vectors))
        counts = scipy.sparse.coo_array(
            (np.ones(int(chosen.sum())), (owner[chosen], items[chosen])), shape=shape
        ).tocsr()
        sums: FloatArray = counts @ self.vectors.astype(np.float64)
        means: FloatArray = sums / np.maximum(counts.sum(axis=1), 1)[:, None]
        return means

    def link(self, log: QueryLog, accounts: Sequence[str]) -> IntArray:
        """Number of the cluster of each account ``(A,)``, -1 for one that stands alone.

        Args:
            log: their queries, and others'.
            accounts: those to compare, the most suspicious first; at most 2,000 are.
        """
        out = np.full(len(accounts), -1)
        names = list(accounts)[:MOST]
        if len(names) < 2:
            return out
        metric, hierarchy = scipy.spatial.distance, scipy.cluster.hierarchy
        distances = metric.squareform(metric.pdist(self.profiles(log, names)))
        distances[self._continued(log, names)] = 0.0
        np.fill_diagonal(distances, 0.0)
        merged = hierarchy.linkage(metric.squareform(distances, checks=False), method="average")
        labels = hierarchy.fcluster(merged, self.near, criterion="distance")
        sizes = np.bincount(labels)
        kept = np.flatnonzero(sizes > 1)
        number = np.full(len(sizes), -1)
        number[kept] = np.arange(len(kept))
        out[: len(names)] = number[labels]
        return out

    @staticmethod
    def _codes(log: QueryLog, accounts: Sequence[str]) -> IntArray:
        place = {name: code for code, name in enumerate(accounts)}
        return np.array([place.get(name, -1) for name in log.calls.account], dtype=np.int64)

    def _continued(self, log: QueryLog, names: Sequence[str]) -> npt.NDArray[np.bool_]:
        """``(A, A)`` whether two accounts asked, or went on from, the same long histories."""
        codes = self._codes(log, names)
        rows = np.flatnonzero((codes >= 0) & (log.lengths >= LONG))
        items, offsets = log.histories(rows)
        lengths = np.diff(offsets)
        whole = _hashes(items, lengths)
        last = np.zeros(len(items), dtype=bool)
        last[offsets[1:] - 1] = True
        before = _hashes(items[~last], lengths - 1)
        before[lengths <= LONG] = 0  # too short to mean anything
        keys, place = np.unique(np.concatenate([whole, before]), return_inverse=True)
        owners = np.concatenate([codes[rows], codes[rows]])
        real = keys[place] != 0
        shape = (len(names), max(len(keys), 1))
        asked = scipy.sparse.coo_array(
            (np.ones(int(real.sum())), (owners[real], place[real])), shape=shape
        ).tocsr()
        asked.data[:] = 1.0
        shared = (asked @ asked.T).toarray()
        linked: npt.NDArray[np.bool_] = shared >= SHARED
        return linked

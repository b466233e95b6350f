"""One list for many histories: nearby questions get the same stored answer."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import scipy
import torch
from pydantic import Field
from torch import Tensor

from recsec.models.base import Incremental, Recommender, mask_history, top_k
from recsec.rng import Streams
from recsec.targets.guards.base import Guard, GuardConfig, Surroundings, best
from recsec.targets.guards.key import seed_of
from recsec.types import IntArray

__all__ = ["Quantize", "QuantizeConfig", "stored_lists"]

STEPS = 32
EXPLORE = 0.2


class QuantizeConfig(GuardConfig):
    """Settings of ``Quantize``."""

    key: Path | None = Field(None, description="key file that chooses what is stored; null: seed 0")
    lists: int = Field(4096, ge=1, description="how many lists are stored")
    near: float = Field(
        0.3, gt=0, le=1, description="share of the best k items that a stored list must hold"
    )
    depth: int = Field(50, ge=1, description="length of the stored lists")


def stored_lists(recommender: Recommender, *, lists: int, depth: int, seed: int) -> IntArray:
    """Lists ``(lists, depth)`` of the recommender itself, on histories that it leads to.

    Sessions start anywhere in the catalog and grow to ``STEPS`` items, four fifths of them from
    the ten best of the list before. No user's data is needed. Everything follows from the seed, so
    each process that guards the same recommender stores the same.
    """
    rng = Streams(seed).numpy("stored lists")
    items = len(recommender.catalog)
    depth = min(depth, items)
    sessions = -(-lists // STEPS)
    histories = rng.integers(1, items + 1, (sessions, 1))
    out = np.zeros((sessions * STEPS, depth), dtype=np.int64)
    state = recommender.open(histories) if isinstance(recommender, Incremental) else None
    for step in range(STEPS):
        if isinstance(recommender, Incremental):
            state = recommender.extend(state, histories[:, -1]) if step else state
            scores = recommender.state_scores(state)
        else:
            scores = recommender.scores(histories)
        found = top_k(mask_history(scores, torch.from_numpy(histories)), depth).numpy()
        out[step * sessions : (step + 1) * sessions] = found
        chosen = found[np.arange(sessions), rng.integers(0, min(10, depth), sessions)]
        anywhere = rng.integers(1, items + 1, sessions)
        explore = (rng.random(sessions) < EXPLORE) | (chosen == 0)
        histories = np.column_stack([histories, np.where(explore, anywhere, chosen)])
    return out[:lists]


class Quantize(Guard):
    """Serves the nearest of a fixed set of lists, if one is near.

    A stored list is near when it holds at least ``near`` of the k best items; the nearest is
    served (of equals, the first), without items of the history and filled up with the best items.
    All histories around it get the same answer, so asking many of them teaches as much as one.

    Looking up costs k rows of an index from items to stored lists, for each question about
    ``k * (stored lists that hold an item)`` additions. The state is ``lists x depth`` ids, made
    once and never changed: the answer does not depend on what was asked before, nor on the
    process that answers.

    Source: ordered incremental quantization of ModelGuard-S (Tang et al., USENIX Security 2024),
    which stores outputs as they come; here they are stored beforehand, because an answer that
    depends on earlier questions differs between the servers of one API, and after a restart.

    Args:
        lists: ``(C, depth)`` the stored lists.
        items: N.
        near: see ``QuantizeConfig``.
    """

    name = "quantize"
    config_class = QuantizeConfig
    by_account = False

    def __init__(self, lists: IntArray, *, items: int, near: float = 0.3) -> None:
        self.lists = lists
        self.items = items
        self.near = near
        self._index = lru_cache(maxsize=4)(self._make_index)

    @classmethod
    def build(cls, config: QuantizeConfig, surroundings: Surroundings) -> Self:
        """Ask the recommender for the lists to store; see ``Guard.build``."""
        seed = seed_of(config.key, "stored lists")
        recommender = surroundings.recommender
        lists = stored_lists(recommender, lists=config.lists, depth=config.depth, seed=seed)
        return cls(lists, items=len(recommender.catalog), near=config.near)

    def _make_index(self, k: int) -> scipy.sparse.csr_array:
        """Which stored lists ``(N + 1, C)`` have an item among their first k."""
        heads = self.lists[:, :k]
        row, column = np.nonzero(heads)
        ones = np.ones(len(row), dtype=np.int32)
        shape = (self.items + 1, len(heads))
        return scipy.sparse.csr_array((ones, (heads[row, column], row)), shape=shape)

    def answer(self, account: str, histories: IntArray, scores: Tensor, k: int) -> IntArray:
        """See ``Guard.answer``."""
        own = best(scores, k)
        row, column = np.nonzero(own)
        asked = scipy.sparse.csr_array(
            (np.ones(len(row), dtype=np.int32), (row, own[row, column])),
            shape=(len(own), self.items + 1),
        )
        shared = (asked @ self._index(min(k, self.lists.shape[1]))).tocsr()
        shared.sort_indices()
        rows = np.flatnonzero(np.diff(shared.indptr))
        starts = shared.indptr[rows]
        if len(rows) == 0:
            return own
        most = np.maximum.reduceat(shared.data, starts)
        entry = np.repeat(most, np.diff(shared.indptr)[rows]) == shared.data
        place = np.where(entry, np.arange(len(shared.data)), len(shared.data))
        nearest = shared.indices[np.minimum.reduceat(place, starts)]  # of equals, the first
        near = most >= self.near * k
        rows, nearest = rows[near], nearest[near]
        own[rows] = _filled(self.lists[nearest], own[rows], scores[torch.from_numpy(rows)])
        return own


def _filled(stored: IntArray, own: IntArray, scores: Tensor) -> IntArray:
    """The first k of stored lists ``(B, D)`` that may be served, then of the own ``(B, k)``."""
    allowed = torch.isfinite(scores.gather(1, torch.from_numpy(stored))).numpy() & (stored > 0)
    again = (own[:, :, None] == np.where(allowed, stored, -1)[:, None, :]).any(axis=2)
    joined = np.concatenate([stored, own], axis=1)
    usable = np.concatenate([allowed, (own > 0) & ~again], axis=1)
    order = np.argsort(~usable, axis=1, kind="stable")[:, : own.shape[1]]
    filled: IntArray = np.take_along_axis(np.where(usable, joined, 0), order, axis=1)
    return filled

"""Knockoff: whole plausible histories from a pool, one call each."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recsec.attacks.extraction.policies.base import Policy, uniform_new
from recsec.attacks.extraction.policies.rounds import RoundPolicy, Seen, cut, rollouts
from recsec.data.sequences import Sequences
from recsec.errors import ConfigError
from recsec.types import IntArray

__all__ = ["KnockoffPoolPolicy", "LeakedWalk"]


class KnockoffPoolPolicy(RoundPolicy):
    """Histories that real users might have: each prefix of a leaked one once, in random order.

    When the leak is used up, walks along the transitions of the leaked users go on. Answers steer
    nothing, so there are no rounds, only batches.

    Source: Orekondy et al., "Knockoff Nets", CVPR 2019 (random strategy; the adaptive one was
    never released and others found it worse than random).
    """

    name = "knockoff-pool"
    needs_leak: ClassVar[bool] = True
    needs_surrogate: ClassVar[bool] = False
    opens_with_sessions = False

    waiting: IntArray | None = None
    """Numbers of the leaked prefixes that were not asked yet; None before the first round."""

    def size(self, number: int) -> int:
        """See ``RoundPolicy.size``: all batches alike."""
        del number
        first: int = self.config.first
        return first

    def choose(self, count: int, seen: Seen, rng: np.random.Generator) -> IntArray:
        """See ``RoundPolicy.choose``."""
        leak = self.knowledge.leak
        if leak is None:
            raise ConfigError("knockoff-pool needs leaked histories", hint="set leak, as in 0.01")
        if self.waiting is None:
            self.waiting = rng.permutation(len(leak.items)).astype(np.int64)
        ends, self.waiting = self.waiting[:count], self.waiting[count:]
        pool = np.zeros((count, self.config.longest), dtype=np.int64)
        pool[: len(ends)] = self._prefixes(leak, ends)
        missing = count - len(ends)
        if missing:
            walks = rollouts(LeakedWalk(leak), None, missing, self.config.longest, seen.k, rng)
            pool[len(ends) :] = cut(walks, missing, rng)
        return pool

    def _prefixes(self, leak: Sequences, ends: IntArray) -> IntArray:
        """The newest items up to and including each place ``(B,)`` of the flat leak."""
        starts = leak.offsets[np.searchsorted(leak.offsets, ends, side="right") - 1]
        first = np.maximum(starts, ends + 1 - self.config.longest)
        places = first[:, None] + np.arange(self.config.longest)
        inside = places <= ends[:, None]
        found: IntArray = np.where(inside, leak.items[np.where(inside, places, 0)], 0)
        return found


class LeakedWalk(Policy):
    """A walk along the transitions of the leaked users, from where they started.

    After an item comes what followed a random occurrence of it. Where nothing did, or the session
    holds that item, comes any leaked item, and if that is no news either, any of the catalog.
    """

    name = "leaked-walk"

    def __init__(self, leak: Sequences) -> None:
        super().__init__(None, items=len(leak.catalog))
        self.leak = leak
        final = np.zeros(len(leak.items), dtype=bool)
        final[leak.offsets[1:] - 1] = True
        places = np.flatnonzero(~final)
        self.places = places[np.argsort(leak.items[places], kind="stable")]
        bounds = np.arange(len(leak.catalog) + 2)
        self.bounds = np.searchsorted(leak.items[self.places], bounds)

    def first(self, sessions: int, rng: np.random.Generator) -> IntArray:
        """See ``Policy.first``."""
        starts: IntArray = self.leak.items[rng.choice(self.leak.offsets[:-1], sessions)]
        return starts

    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """See ``Policy.next``; lists are not read."""
        newest = histories[:, -1]
        low, high = self.bounds[newest], self.bounds[newest + 1]
        drawn = low + (rng.random(len(histories)) * (high - low)).astype(np.int64)
        place = self.places[np.minimum(drawn, len(self.places) - 1)]
        chosen = np.where(high > low, self.leak.items[place + 1], 0)
        for fallback in (
            rng.choice(self.leak.items, len(histories)),
            uniform_new(histories, self.items, rng),
        ):
            stale = (chosen == 0) | (histories == chosen[:, None]).any(axis=1)
            chosen = np.where(stale, fallback, chosen).astype(np.int64)
        return chosen

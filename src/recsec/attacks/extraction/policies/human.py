"""A thief who chooses as an honest user would: the human-like switch."""

from __future__ import annotations

import numpy as np

from recsec.attacks.extraction.policies.base import Policy, draw_from_lists, uniform_new
from recsec.traffic import ClickLaw
from recsec.types import FloatArray, IntArray

__all__ = ["HumanLike"]


class HumanLike(Policy):
    """Another policy within the bounds of a click law.

    With probability c the next item comes from the list just served: rank r by ``r ** -eta``, times
    the preference of the policy. Otherwise it is an item off the list, and sessions start with one,
    both drawn by popularity: how often the thief has been served an item so far, or its count in
    his leak.

    Args:
        policy: what the thief would ask if free.
        law: a guess of the law of honest users.
    """

    name = "human-like"

    def __init__(self, policy: Policy, law: ClickLaw) -> None:
        super().__init__(policy.config, items=policy.items, knowledge=policy.knowledge)
        self.policy = policy
        self.law = law
        self.served = np.ones(policy.items + 1)
        if self.knowledge.leak is not None:
            self.served += self.knowledge.leak.counts

    def first(self, sessions: int, rng: np.random.Generator) -> IntArray:
        """See ``Policy.first``: popular items, each once if there are enough."""
        self.policy.first(sessions, rng)
        return self._popular(np.zeros((sessions, 1), dtype=np.int64), rng)

    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """See ``Policy.next``."""
        self.served += np.bincount(lists.ravel(), minlength=self.items + 1)
        popular = self._popular(histories, rng)
        weights = self.law.probabilities(lists.shape[1]) * self.policy.preference(histories, lists)
        clicked = draw_from_lists(lists, weights, popular, rng)
        return np.where(rng.random(len(histories)) < self.law.acceptance, clicked, popular)

    def _popular(self, histories: IntArray, rng: np.random.Generator) -> IntArray:
        """An item per row that its history lacks, by popularity."""
        heights: FloatArray = np.cumsum(self.served[1:])
        chosen = 1 + np.searchsorted(heights, rng.random((len(histories), 16)) * heights[-1])
        chosen = np.minimum(chosen, self.items).astype(np.int64)
        fresh = ~(chosen[:, :, None] == histories[:, None, :]).any(axis=2)
        picked = chosen[np.arange(len(histories)), fresh.argmax(axis=1)]
        return np.where(fresh.any(axis=1), picked, uniform_new(histories, self.items, rng))

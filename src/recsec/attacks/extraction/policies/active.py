"""ActiveThief: ask where the surrogate is uncertain, or where it has not been yet."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.extraction.policies.rounds import RoundConfig, RoundPolicy, Seen, cut, rollouts
from recsec.models import mask_history
from recsec.models.sequential.neural import NeuralRecommender
from recsec.types import FloatArray, IntArray

__all__ = [
    "ActiveConfig",
    "ActiveEntropyPolicy",
    "ActiveKCenterPolicy",
    "farthest_first",
    "list_entropy",
]

BATCH = 512


class ActiveConfig(RoundConfig):
    """Settings of the attacks that choose among candidates."""

    pool: int = Field(4, gt=1, description="candidates for each call of a round")
    cuts: int = Field(4, gt=0, description="candidates that are cut from one rolled-out session")


class _Active(RoundPolicy):
    """Candidates are prefixes of sessions rolled out on the surrogate, free of calls.

    Source: Pal et al., "ActiveThief", AAAI 2020, translated to histories.
    """

    config_class: ClassVar[type[RoundConfig]] = ActiveConfig
    config: ActiveConfig

    def choose(self, count: int, seen: Seen, rng: np.random.Generator) -> IntArray:
        """See ``RoundPolicy.choose``."""
        wanted = self.config.pool * count
        sessions = -(-wanted // self.config.cuts)
        grown = rollouts(self.sessions, seen.surrogate, sessions, self.config.longest, seen.k, rng)
        pool = cut(grown, wanted, rng)
        if seen.surrogate is None:
            return pool[:count]
        return pool[self.select(pool, count, seen.surrogate)]

    def select(self, pool: IntArray, count: int, surrogate: NeuralRecommender) -> IntArray:
        """Rows ``(count,)`` of the pool ``(P, L)``, the most wanted first."""
        raise NotImplementedError


def list_entropy(scores: Float[Tensor, "B N1"], k: int) -> Float[Tensor, " B"]:
    """Entropy in nats of the softmax over the ``k`` best scores, the rest cut off.

    Over the whole catalog the tail of thousands of hopeless items would decide.
    """
    best = scores.topk(min(k, scores.shape[1] - 1), dim=1).values
    logs = F.log_softmax(best, dim=1)
    return -(logs.exp() * logs.masked_fill(torch.isneginf(logs), 0)).sum(dim=1)


def farthest_first(points: Float[Tensor, "P D"], count: int, first: int = 0) -> IntArray:
    """Greedy k-center: each next point is the farthest from all chosen before, by cosine.

    The choice is a chain of arg-maxima, so it is a loop over what is chosen; distances to all
    points are one product each.

    Source: Sener & Savarese, "Active Learning for Convolutional Neural Networks", ICLR 2018.
    """
    unit = F.normalize(points, dim=1)
    nearest = torch.full((len(unit),), -torch.inf)
    chosen = np.zeros(count, dtype=np.int64)
    at = first
    for place in range(count):
        chosen[place] = at
        torch.maximum(nearest, unit @ unit[at], out=nearest)
        nearest[at] = torch.inf
        at = int(nearest.argmin())
    return chosen


class ActiveEntropyPolicy(_Active):
    """Asks the candidates on whose list the surrogate is least decided."""

    name = "active-entropy"

    def select(self, pool: IntArray, count: int, surrogate: NeuralRecommender) -> IntArray:
        """See ``_Active.select``."""
        found: list[FloatArray] = []
        for start in range(0, len(pool), BATCH):
            part = pool[start : start + BATCH]
            scores = mask_history(surrogate.scores(part), torch.from_numpy(part))
            found.append(list_entropy(scores, 100).double().numpy())
        order = np.argsort(-np.concatenate(found), kind="stable")
        return order[:count].astype(np.int64)


class ActiveKCenterPolicy(_Active):
    """Asks the candidates that are farthest from each other in the surrogate's representation."""

    name = "active-kcenter"

    def select(self, pool: IntArray, count: int, surrogate: NeuralRecommender) -> IntArray:
        """See ``_Active.select``."""
        parts = [pool[start : start + BATCH] for start in range(0, len(pool), BATCH)]
        points = torch.cat([surrogate.last_hidden(part) for part in parts])
        return farthest_first(points, count)

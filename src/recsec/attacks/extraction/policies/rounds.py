"""Attacks in rounds: whole histories, one call each, chosen with the surrogate of the last round.

A round asks as much as all rounds before it, so the surrogate is trained a few times only, and the
first n calls are those that a thief with a budget of n would have made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from recsec.attacks.extraction.policies.base import (
    Knowledge,
    MixedConfig,
    MixedPolicy,
    Policy,
    PolicyConfig,
)
from recsec.models import Recommender
from recsec.models.sequential.neural import NeuralRecommender
from recsec.targets import Chains, LocalTarget
from recsec.types import IntArray

__all__ = ["OneCall", "RoundConfig", "RoundPolicy", "Seen", "cut", "oldest_first", "rollouts"]


@dataclass(frozen=True, eq=False)
class Seen:
    """What the thief has when a round begins.

    Attributes:
        surrogate: trained on all answers so far; None before the first.
        chains: the calls so far, not those that a resumed run will come to; None before the first.
        k: list length asked for.
    """

    surrogate: NeuralRecommender | None
    chains: Chains | None
    k: int


class RoundConfig(PolicyConfig):
    """Settings of every attack in rounds."""

    first: int = Field(1000, gt=0, description="calls of the first round")
    longest: int = Field(50, gt=0, description="items of the longest history that is asked")


class RoundPolicy(ABC):
    """Chooses whole histories, a round at a time.

    Args:
        config: settings.
        items: N, the size of the public catalog.
        knowledge: what else the thief has.
        sessions: a policy whose sessions open the attack and, rolled out on the surrogate, are the
            candidates of later rounds.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[RoundConfig]] = RoundConfig
    needs_leak: ClassVar[bool] = False
    needs_surrogate: ClassVar[bool] = True
    opens_with_sessions: bool = True
    """Whether the first round grows sessions, every prefix a call, instead of ``choose``."""

    def __init__(
        self,
        config: Any,
        *,
        items: int,
        knowledge: Knowledge | None = None,
        sessions: Policy | None = None,
    ) -> None:
        self.config = config
        self.items = items
        self.knowledge = knowledge or Knowledge()
        self.sessions = sessions or MixedPolicy(
            MixedConfig.model_validate({}), items=items, knowledge=knowledge
        )

    def size(self, number: int) -> int:
        """Calls of round ``number``, 0 for the first: as many as all before it."""
        first: int = self.config.first
        return first if number == 0 else first * 2 ** (number - 1)

    @abstractmethod
    def choose(self, count: int, seen: Seen, rng: np.random.Generator) -> IntArray:
        """``count`` histories ``(count, L)``, zeros on the right, the most wanted first."""


def rollouts(
    policy: Policy,
    surrogate: Recommender | None,
    count: int,
    length: int,
    k: int,
    rng: np.random.Generator,
) -> IntArray:
    """Sessions ``(count, length)`` that a policy grows on the lists of a surrogate: no call.

    Without a surrogate its lists are empty, and a policy falls back on the catalog.
    """
    free = None if surrogate is None else LocalTarget(surrogate)
    histories = policy.first(count, rng)[:, None]
    while histories.shape[1] < length:
        if free is None:
            lists = np.zeros((count, k), dtype=np.int64)
        else:
            lists = free.query("rollout", histories, k)
        histories = np.concatenate([histories, policy.next(histories, lists, rng)[:, None]], axis=1)
    return histories


def cut(histories: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """``count`` prefixes of random length of ``(S, L)`` histories, each used about equally often.

    >>> cut(np.array([[4, 5, 6]]), 2, np.random.default_rng(0)).shape
    (2, 3)
    """
    rows = np.arange(count) % len(histories)
    lengths = rng.integers(1, histories.shape[1] + 1, count)
    places = np.arange(histories.shape[1])
    chosen: IntArray = np.where(places < lengths[:, None], histories[rows], 0)
    return chosen


class OneCall(RoundPolicy):
    """The sessions of another policy, grown on the surrogate and asked once, at a random length.

    What ``one-call`` makes of a policy of sessions: no history that is asked extends another.
    """

    name = "one-call"
    opens_with_sessions = False

    def choose(self, count: int, seen: Seen, rng: np.random.Generator) -> IntArray:
        """See ``RoundPolicy.choose``."""
        grown = rollouts(self.sessions, seen.surrogate, count, self.config.longest, seen.k, rng)
        return cut(grown, count, rng)


def oldest_first(histories: IntArray) -> IntArray:
    """Move the zeros of ``(B, L)`` rows to the right, order kept."""
    order = np.argsort(histories == 0, axis=1, kind="stable")
    return np.take_along_axis(histories, order, axis=1)

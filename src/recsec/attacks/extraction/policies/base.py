"""Which queries a thief makes: how a session grows from the lists it is served.

A policy sees everything in the order in which it happened and draws from the generator it is
given, so running it again with the same answers asks the same questions. Sessions hold no item
twice: an API that leaves history items out of its lists tells nothing about them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from recsec.data.sequences import Sequences
from recsec.models.base import Recommender
from recsec.types import FloatArray, IntArray

__all__ = [
    "AutoregressivePolicy",
    "CoveragePolicy",
    "Knowledge",
    "MixedPolicy",
    "Policy",
    "PolicyConfig",
    "RandomPolicy",
]


class PolicyConfig(BaseModel):
    """Settings of a policy; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What a thief has besides the API and the catalog.

    Attributes:
        leak: histories of real users, where the plan leaks some.
        guide: a recommender trained on the leak alone; without one, nothing is known.
    """

    leak: Sequences | None = None
    guide: Recommender | None = None


class Policy(ABC):
    """Grows B sessions side by side.

    Args:
        config: settings.
        items: N, the size of the public catalog.
        knowledge: what else the thief has.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[PolicyConfig]] = PolicyConfig
    needs_leak: ClassVar[bool] = False
    pretrains: ClassVar[bool] = False
    """Whether the copy begins as a model of the histories that the thief has."""
    doubts: ClassVar[bool] = False
    """Whether it always asks as the switch ``doubt`` says."""
    surrogate: Recommender | None = None
    """The thief's copy of the last round, where he trains some; None before the first."""

    def __init__(self, config: Any, *, items: int, knowledge: Knowledge | None = None) -> None:
        self.config = config
        self.items = items
        self.knowledge = knowledge or Knowledge()

    def first(self, sessions: int, rng: np.random.Generator) -> IntArray:
        """The items ``(B,)`` with which new sessions start: uniform over the catalog."""
        return rng.integers(1, self.items + 1, sessions)

    @abstractmethod
    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """The items ``(B,)`` by which the sessions grow.

        Args:
            histories: ``(B, t)`` int64, all of one length.
            lists: ``(B, K)`` int64, the answers to exactly these histories, zeros where short.
            rng: draws.
        """

    def script(self, sessions: int, rng: np.random.Generator) -> IntArray | None:
        """Whole histories ``(B, L)`` to be asked prefix by prefix, whatever the answers.

        Asked for before each block; None, by default, means that the block grows by ``next``.
        """
        del sessions, rng
        return None

    def heard(self, lists: IntArray, items: IntArray) -> None:
        """Of a script: the lists ``(B, K)`` served before the items ``(B,)`` that came next."""
        del lists, items

    def preference(self, histories: IntArray, lists: IntArray) -> FloatArray:
        """How much the policy wants each list item, ``(B, K)`` weights >= 0; by default alike.

        A thief who may not choose freely (``human-like``) weighs what he may choose by this.
        """
        return np.ones(lists.shape)


def uniform_new(histories: IntArray, items: int, rng: np.random.Generator) -> IntArray:
    """An item ``(B,)`` per row, uniform over those that the row ``(B, t)`` does not hold.

    A row that holds (nearly) the whole catalog gets any item.
    """
    chosen = rng.integers(1, items + 1, len(histories))
    for _ in range(64):
        taken = np.flatnonzero((histories == chosen[:, None]).any(axis=1))
        if len(taken) == 0:
            break
        chosen[taken] = rng.integers(1, items + 1, len(taken))
    return chosen


def draw_from_lists(
    lists: IntArray, weights: FloatArray, fallback: IntArray, rng: np.random.Generator
) -> IntArray:
    """One item ``(B,)`` of each list ``(B, K)`` by ``weights (B, K)``, which need not sum to 1.

    Rows without an item of positive weight take ``fallback (B,)``.
    """
    cumulative = np.cumsum(np.where(lists > 0, weights, 0.0), axis=1)
    total = cumulative[:, -1]
    place = (cumulative <= (rng.random(len(lists)) * total)[:, None]).sum(axis=1)
    place = np.minimum(place, lists.shape[1] - 1)
    chosen: IntArray = np.where(total > 0, lists[np.arange(len(lists)), place], fallback)
    return chosen


class RandomPolicy(Policy):
    """Items drawn uniformly from the catalog, whatever the answers.

    Source: "random" of Yue et al., RecSys 2021.
    """

    name = "random"

    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """See ``Policy.next``."""
        return uniform_new(histories, self.items, rng)


class AutoregressiveConfig(PolicyConfig):
    """Settings of ``AutoregressivePolicy``."""

    rank_exponent: float = Field(
        0.0, ge=0, description="an item at rank r is drawn with weight r ** -rank_exponent"
    )


class AutoregressivePolicy(Policy):
    """The next item is drawn from the list just served.

    Source: Yue et al., RecSys 2021, "autoregressive" (uniform in the list: ``rank_exponent`` 0).
    """

    name = "autoregressive"
    config_class: ClassVar[type[PolicyConfig]] = AutoregressiveConfig
    config: AutoregressiveConfig

    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """See ``Policy.next``."""
        fallback = uniform_new(histories, self.items, rng)
        return draw_from_lists(lists, self.preference(histories, lists), fallback, rng)

    def preference(self, histories: IntArray, lists: IntArray) -> FloatArray:
        """By rank."""
        ranks = np.arange(1, lists.shape[1] + 1, dtype=np.float64)
        return np.broadcast_to(ranks**-self.config.rank_exponent, lists.shape)


class MixedConfig(AutoregressiveConfig):
    """Settings of ``MixedPolicy``."""

    share: float = Field(0.2, ge=0, le=1, description="share of items drawn from the catalog")


class MixedPolicy(AutoregressivePolicy):
    """Autoregressive, with a share of items drawn uniformly from the catalog."""

    name = "mixed"
    config_class: ClassVar[type[PolicyConfig]] = MixedConfig
    config: MixedConfig

    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """See ``Policy.next``."""
        from_list = super().next(histories, lists, rng)
        explore = rng.random(len(histories)) < self.config.share
        return np.where(explore, uniform_new(histories, self.items, rng), from_list)


class CoverageConfig(PolicyConfig):
    """Settings of ``CoveragePolicy``."""

    novelty: float = Field(1.0, ge=0, description="weight (1 + times asked) ** -novelty")
    rank_exponent: float = Field(0.0, ge=0, description="weight rank ** -rank_exponent")
    share: float = Field(0.2, ge=0, le=1, description="mean share of items from the catalog")


class CoveragePolicy(Policy):
    """Follows the lists, but prefers what it has asked least, and explores unevenly.

    Items of the list are drawn by ``rank ** -rank_exponent * (1 + n) ** -novelty``, n counting how
    often an item entered any session; items from the catalog by ``(1 + n) ** -novelty`` alone.
    Each session has its own share of exploration, uniform between 0 and twice ``share``, so that
    the surrogate sees coherent and erratic histories. Both work against the collapse of purely
    autoregressive queries onto what the target likes already.
    """

    name = "coverage"
    config_class = CoverageConfig
    config: CoverageConfig

    def __init__(self, config: Any, *, items: int, knowledge: Knowledge | None = None) -> None:
        super().__init__(config, items=items, knowledge=knowledge)
        self.asked = np.zeros(items + 1)
        self.shares = np.zeros(0)

    def first(self, sessions: int, rng: np.random.Generator) -> IntArray:
        """The items that were asked least, in random order."""
        self.shares = rng.random(sessions) * 2 * self.config.share
        order = 1 + np.lexsort((rng.random(self.items), self.asked[1:]))
        chosen = order[np.arange(sessions) % self.items].astype(np.int64)
        np.add.at(self.asked, chosen, 1)
        return chosen

    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """See ``Policy.next``."""
        fallback = self._rare(histories, self._novelty(), rng)
        from_list = draw_from_lists(lists, self.preference(histories, lists), fallback, rng)
        explore = rng.random(len(histories)) < self.shares[: len(histories)]
        chosen = np.where(explore, fallback, from_list)
        np.add.at(self.asked, chosen, 1)
        return chosen

    def preference(self, histories: IntArray, lists: IntArray) -> FloatArray:
        """By rank and by how rarely the item was asked."""
        ranks = np.arange(1, lists.shape[1] + 1, dtype=np.float64)
        wanted: FloatArray = self._novelty()[lists] * ranks**-self.config.rank_exponent
        return wanted

    def _novelty(self) -> FloatArray:
        novelty: FloatArray = (1 + self.asked) ** -self.config.novelty
        return novelty

    def _rare(self, histories: IntArray, novelty: FloatArray, rng: np.random.Generator) -> IntArray:
        """A new item per row from the catalog, by novelty."""
        cumulative = np.cumsum(novelty[1:])
        draws = rng.random((len(histories), 8)) * cumulative[-1]
        candidates = 1 + np.minimum(np.searchsorted(cumulative, draws), self.items - 1)
        fresh = ~(candidates[:, :, None] == histories[:, None, :]).any(axis=2)
        chosen: IntArray = candidates[np.arange(len(histories)), fresh.argmax(axis=1)]
        return chosen

"""Rank law: choose at all ranks, as people do, with the help of one's own copy."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from recsec.attacks.extraction.policies.base import (
    Knowledge,
    Policy,
    PolicyConfig,
    uniform_new,
)
from recsec.models import mask_history
from recsec.models.sequential.neural import NeuralRecommender
from recsec.targets.guards.typical import NEWEST, RankLaw
from recsec.types import FloatArray, IntArray

__all__ = ["RankLawConfig", "RankLawPolicy"]

PEOPLE, DIFFER = 1000, 0.2
"""How many made-up people a steering thief compares himself with, and the deviation of their tails:
they choose by his law, each a little differently."""


class RankLawConfig(PolicyConfig):
    """Settings of ``RankLawPolicy``: his guess of people's law and how long he dares to go on."""

    length: int = Field(63, gt=1, description="items to which a session grows after the first")
    shift: float = Field(
        2.25, ge=0, description="rank r is chosen with weight (r + shift) ** -tail"
    )
    tail: float = Field(1.3, gt=0, description="see shift; less means more choices far down")
    p1: float | None = Field(
        None, gt=0, lt=1, description="share of choices at rank 1; null: as the law has it"
    )
    steer: bool = Field(
        False, description="stay in the list as long as the own ranks look like a person's"
    )
    taste: float = Field(
        0.0, ge=0, description="weight exp(taste * z), z how like the session's first item"
    )

    def weights(self, items: int, tail: float | None = None) -> FloatArray:
        """Of the ranks 1 to ``items``, not normalized; with another tail than one's own."""
        found: FloatArray = (np.arange(1.0, items + 1) + self.shift) ** -(tail or self.tail)
        if self.p1 is not None and items > 1:
            found[0] = found[1:].sum() * self.p1 / (1 - self.p1)
        return found


class RankLawPolicy(Policy):
    """The next item has a rank drawn from a law like people's: ``(r + 2.25) ** -1.3``.

    Ranks up to the length of the list are taken from the list that was served, and those beyond
    from the order of the thief's own copy, without the items of the list. Before he has a copy he
    stays in the list: of a short session its items say little, and a few of the whole catalog give
    him away. Whoever judges a history by the ranks of its items finds those of a person, to the
    extent that the copy is right. The copy comes from sessions too short to tell who asks; see
    ``collect``. Lists that are noise to the copy end a session and are not learned: see the switch
    ``doubt``, which is always on here.

    With ``steer`` he computes what ``misinform`` would suspect of his ranks, against people who
    choose by his own law, and takes items of the list as long as that stays below 0. With ``taste``
    a session prefers items like its first one, in the space of his copy.
    """

    name = "rank-law"
    config_class: ClassVar[type[PolicyConfig]] = RankLawConfig
    config: RankLawConfig
    doubts: ClassVar[bool] = True

    def __init__(self, config: Any, *, items: int, knowledge: Knowledge | None = None) -> None:
        super().__init__(config, items=items, knowledge=knowledge)
        self.weights = self.config.weights(items)
        self.law = guessed_law(self.config, items) if self.config.steer else None
        self.ranks: dict[bytes, tuple[int, ...]] = {}
        """Of the items of each session that grows, where he steers."""

    def first(self, sessions: int, rng: np.random.Generator) -> IntArray:
        """See ``Policy.first``."""
        self.ranks = {}
        return super().first(sessions, rng)

    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """See ``Policy.next``."""
        draws = rng.random(len(histories))
        fallback = uniform_new(histories, self.items, rng)
        order = self._order(histories, lists)
        weights = np.where(order > 0, self.weights[: order.shape[1]], 0.0)
        weights *= self._tilt(histories, order)
        if self.law is not None:
            served = (lists > 0).sum(axis=1)
            stays = self._unsuspected(histories, self.law) & (served > 0)
            weights[stays[:, None] & (np.arange(order.shape[1]) >= served[:, None])] = 0
        heights = np.cumsum(weights, axis=1)
        place = (heights < (draws * heights[:, -1])[:, None]).sum(axis=1)
        rows = np.arange(len(histories))
        chosen: IntArray = np.where(heights[:, -1] > 0, order[rows, place], fallback)
        if self.law is not None:
            for row in rows:
                before = self.ranks.get(histories[row].tobytes(), ())
                grown = np.append(histories[row], chosen[row])
                self.ranks[grown.tobytes()] = (*before, int(place[row]) + 1)[-NEWEST:]
        return chosen

    def _order(self, histories: IntArray, lists: IntArray) -> IntArray:
        """What he thinks is the whole ranking ``(B, M)``: the list, then the rest by his copy."""
        if self.surrogate is None:
            return lists
        scores = mask_history(self.surrogate.scores(histories), torch.from_numpy(histories))
        places = torch.arange(lists.shape[1], 0, -1, dtype=scores.dtype)
        listed = torch.from_numpy(lists.astype(np.int64))
        top = scores.amax(dim=1, keepdim=True)
        scores.scatter_(1, listed, top + places)
        scores[:, 0] = float("-inf")
        best, order = scores.sort(dim=1, descending=True, stable=True)
        found: IntArray = torch.where(torch.isfinite(best), order, 0)[:, : self.items].numpy()
        return found

    def _tilt(self, histories: IntArray, order: IntArray) -> FloatArray | float:
        """``(B, M)`` by how much a session likes each item better than others at its rank."""
        if self.config.taste == 0 or not isinstance(self.surrogate, NeuralRecommender):
            return 1.0
        table = self.surrogate.item_table().detach().double().numpy()[: self.items + 1]
        along = table @ table[histories[:, 0]].T
        along = (along - along[1:].mean(axis=0)) / np.maximum(along[1:].std(axis=0), 1e-9)
        tilt: FloatArray = np.exp(self.config.taste * np.take_along_axis(along.T, order, axis=1))
        return tilt

    def _unsuspected(self, histories: IntArray, law: RankLaw) -> npt.NDArray[np.bool_]:
        """Which sessions ``(B,)`` look like those of a person, as far as he can tell."""
        ranks = np.zeros((len(histories), NEWEST), dtype=np.int64)
        for row, history in enumerate(histories):
            own = self.ranks.get(history.tobytes(), ())
            ranks[row, : len(own)] = own
        found: npt.NDArray[np.bool_] = law.suspicion(ranks) <= 0
        return found


def guessed_law(config: RankLawConfig, items: int) -> RankLaw:
    """What a thief takes for the law of ``misinform``: people choose by his own, machines evenly.

    Fitted to made-up people, the same for all thieves with the same settings.
    """
    rng = np.random.default_rng(0)
    tails = np.maximum(config.tail + DIFFER * rng.standard_normal(PEOPLE), 0.1)
    ranks = np.zeros((PEOPLE, NEWEST), dtype=np.int64)
    for person, tail in enumerate(tails):
        heights = np.cumsum(config.weights(items, float(tail)))
        ranks[person] = 1 + np.searchsorted(heights, rng.random(NEWEST) * heights[-1])
    return RankLaw.fit(ranks, rng.integers(1, items + 1, ranks.shape), items)

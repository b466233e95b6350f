"""Rank law: choose at all ranks, as people do, with the help of one's own copy."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from recsec.attacks.extraction.policies.base import (
    Knowledge,
    Policy,
    PolicyConfig,
    uniform_new,
)
from recsec.models import mask_history
from recsec.types import IntArray

__all__ = ["RankLawConfig", "RankLawPolicy"]


class RankLawConfig(PolicyConfig):
    """Settings of ``RankLawPolicy``: his guess of people's law and how long he dares to go on."""

    length: int = Field(63, gt=1, description="items to which a session grows after the first")
    shift: float = Field(
        2.25, ge=0, description="rank r is chosen with weight (r + shift) ** -tail"
    )
    tail: float = Field(1.3, gt=0, description="see shift; less means more choices far down")


class RankLawPolicy(Policy):
    """The next item has a rank drawn from a law like people's: ``(r + 2.25) ** -1.3``.

    Ranks up to the length of the list are taken from the list that was served, and those beyond
    from the order of the thief's own copy, without the items of the list. Before he has a copy he
    stays in the list: of a short session its items say little, and a few of the whole catalog give
    him away. Whoever judges a history by the ranks of its items finds those of a person, to the
    extent that the copy is right. The copy comes from sessions too short to tell who asks; see
    ``collect``. Lists that are noise to the copy end a session and are not learned: see the switch
    ``doubt``, which is always on here.
    """

    name = "rank-law"
    config_class: ClassVar[type[PolicyConfig]] = RankLawConfig
    config: RankLawConfig
    doubts: ClassVar[bool] = True

    def __init__(self, config: Any, *, items: int, knowledge: Knowledge | None = None) -> None:
        super().__init__(config, items=items, knowledge=knowledge)
        weights = (np.arange(1.0, items + 1) + self.config.shift) ** -self.config.tail
        self.heights = np.cumsum(weights)

    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """See ``Policy.next``."""
        served = (lists > 0).sum(axis=1)
        new = np.full(len(histories), max(1, self.items - histories.shape[1]))
        if self.surrogate is None:
            new = np.where(served > 0, served, new)
        draws = rng.random(len(histories)) * self.heights[new - 1]
        place = np.minimum(np.searchsorted(self.heights, draws), new - 1)
        fallback = uniform_new(histories, self.items, rng)
        rows = np.arange(len(histories))
        chosen: IntArray = np.where(
            place < served, lists[rows, np.minimum(place, lists.shape[1] - 1)], fallback
        )
        beyond = np.flatnonzero(place >= served)
        if self.surrogate is not None and len(beyond):
            asked = histories[beyond]
            scores = mask_history(self.surrogate.scores(asked), torch.from_numpy(asked))
            scores.scatter_(1, torch.from_numpy(lists[beyond].astype(np.int64)), float("-inf"))
            order = scores.argsort(dim=1, descending=True, stable=True).numpy()
            found = order[np.arange(len(beyond)), place[beyond] - served[beyond]]
            known = np.isfinite(scores.numpy()[np.arange(len(beyond)), found])
            chosen[beyond] = np.where(known, found, fallback[beyond])
        return chosen

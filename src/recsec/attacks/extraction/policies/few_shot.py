"""Few-shot: a handful of leaked histories decides which items of a list are worth asking about."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from recsec.attacks.extraction.copying.leak import Replay
from recsec.attacks.extraction.policies.base import (
    Knowledge,
    Policy,
    PolicyConfig,
    draw_from_lists,
    uniform_new,
)
from recsec.types import FloatArray, IntArray

__all__ = ["FewShotConfig", "FewShotPolicy"]


class FewShotConfig(PolicyConfig):
    """Settings of ``FewShotPolicy``."""

    replay: float = Field(
        0.2, ge=0, le=1, description="leaked sessions asked beside each own one, until all are"
    )
    temperature: float = Field(1.0, gt=0, description="of the sampler's softmax over a list")


class FewShotPolicy(Policy):
    """Draws from the list what a model of the leaked users would take, and leaves it as they do.

    Two kinds of blocks alternate. Leaked histories are asked as they are: they teach the surrogate
    where real users are, and how often the item a user took was in the list served. Own
    sessions take an item from the list with that frequency, by the softmax of the guide's scores
    over the list, and otherwise any item of the catalog.

    Source: arXiv 2411.11677. Departures: the sampler is a recommender of the surrogate's
    architecture trained on the leak (there: one attention layer); the share of items taken from
    lists is one measured number (there: a function of the history); the repair losses, whose
    gain is within the noise of a seed, are left out.
    """

    name = "few-shot"
    config_class: ClassVar[type[PolicyConfig]] = FewShotConfig
    config: FewShotConfig
    needs_leak: ClassVar[bool] = True

    def __init__(self, config: Any, *, items: int, knowledge: Knowledge | None = None) -> None:
        super().__init__(config, items=items, knowledge=knowledge)
        leak = self.knowledge.leak
        self.replay = None if leak is None else Replay(leak)
        self.own_turn = False
        self.taken = np.array([1.0, 1.0])
        """Leaked steps whose item was in the list, and was not; one of each to begin with."""

    @property
    def signal(self) -> float:
        """How often real users take an item of the list they would have been served."""
        return float(self.taken[0] / self.taken.sum())

    def script(self, sessions: int, rng: np.random.Generator) -> IntArray | None:
        """See ``Policy.script``: every other block replays leaked histories."""
        self.own_turn = not self.own_turn
        if self.own_turn and self.replay is not None:
            return self.replay.once(round(self.config.replay * sessions), rng)
        return None

    def heard(self, lists: IntArray, items: IntArray) -> None:
        """See ``Policy.heard``."""
        found = int((lists == items[:, None]).any(axis=1).sum())
        self.taken += [found, len(items) - found]

    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """See ``Policy.next``."""
        fallback = uniform_new(histories, self.items, rng)
        chosen = draw_from_lists(lists, self.preference(histories, lists), fallback, rng)
        return np.where(rng.random(len(histories)) < self.signal, chosen, fallback)

    def preference(self, histories: IntArray, lists: IntArray) -> FloatArray:
        """The guide's softmax over each list."""
        if self.knowledge.guide is None:
            return super().preference(histories, lists)
        scores = self.knowledge.guide.scores(histories).gather(1, torch.from_numpy(lists)).double()
        shares: FloatArray = torch.softmax(scores / self.config.temperature, dim=1).numpy()
        return np.where(lists > 0, shares, 0.0)

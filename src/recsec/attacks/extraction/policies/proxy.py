"""Proxy: ask the histories of another public data set, and begin the copy with what they teach."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsec.attacks.extraction.copying.leak import Replay
from recsec.attacks.extraction.policies.base import Knowledge, Policy, uniform_new
from recsec.attacks.extraction.policies.pool import LeakedWalk
from recsec.types import IntArray

__all__ = ["ProxyPolicy"]


class ProxyPolicy(Policy):
    """Histories of other people, each once and prefix by prefix, then walks along them.

    Made for those of another public data set (``proxy = "ml-100k"``), whose items the thief finds
    by title in the catalog; leaked histories do as well. His copy begins as a model of these
    histories, and that model is his floor.
    """

    name = "proxy"
    needs_leak: ClassVar[bool] = True
    pretrains: ClassVar[bool] = True

    def __init__(self, config: Any, *, items: int, knowledge: Knowledge | None = None) -> None:
        super().__init__(config, items=items, knowledge=knowledge)
        leak = self.knowledge.leak
        self.replay = None if leak is None else Replay(leak)
        self.walk = None if leak is None else LeakedWalk(leak)

    def script(self, sessions: int, rng: np.random.Generator) -> IntArray | None:
        """See ``Policy.script``."""
        return None if self.replay is None else self.replay.once(sessions, rng)

    def first(self, sessions: int, rng: np.random.Generator) -> IntArray:
        """See ``Policy.first``: where others started."""
        if self.walk is None:
            return super().first(sessions, rng)
        return self.walk.first(sessions, rng)

    def next(self, histories: IntArray, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """See ``Policy.next``."""
        if self.walk is None:
            return uniform_new(histories, self.items, rng)
        return self.walk.next(histories, lists, rng)

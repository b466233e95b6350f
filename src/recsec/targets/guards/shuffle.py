"""The best items in no order: a published baseline, kept to show how little it is worth."""

from __future__ import annotations

from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field
from torch import Tensor

from recsec.rng import Streams
from recsec.targets.guards.base import Guard, GuardConfig, Surroundings, best
from recsec.types import IntArray

__all__ = ["Shuffle", "ShuffleConfig"]

Words: TypeAlias = npt.NDArray[np.uint64]


class ShuffleConfig(GuardConfig):
    """Settings of ``Shuffle``."""

    seed: int = Field(0, ge=0, description="which order the items of a history get")


def _mix(words: Words) -> Words:
    """A fixed scramble of 64-bit words, one to one.

    Source: Steele, Lea & Flood, OOPSLA 2014 (finalizer of SplitMix64).
    """
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Words = words ^ (words >> np.uint64(31))
    return mixed


class Shuffle(Guard):
    """The k best items in an order that depends on the history and the seed only.

    Source: baseline "Random" of Zhang et al., WSDM 2024; fixed per history here, so asking again
    reveals nothing. A thief who ignores the order has lost only the order.
    """

    name = "shuffle"
    on_lists = True
    config_class = ShuffleConfig
    by_account = False

    def __init__(self, seed: int = 0) -> None:
        self.start = np.uint64(Streams(seed).key("shuffle"))

    @classmethod
    def build(cls, config: ShuffleConfig, surroundings: Surroundings) -> Self:
        """See ``Guard.build``."""
        return cls(config.seed)

    def answer(self, account: str, histories: IntArray, scores: Tensor, k: int) -> IntArray:
        """See ``Guard.answer``."""
        lists = best(scores, k)
        places = np.arange(1, histories.shape[1] + 1, dtype=np.uint64) << np.uint64(32)
        words = _mix(_mix(histories.astype(np.uint64) + places) ^ self.start)
        asked = np.bitwise_xor.reduce(np.where(histories > 0, words, np.uint64(0)), axis=1)
        order = _mix(_mix(lists.astype(np.uint64) ^ asked[:, None]) ^ self.start)
        order[lists == 0] = np.iinfo(np.uint64).max
        shuffled: IntArray = np.take_along_axis(lists, np.argsort(order, axis=1), axis=1)
        return shuffled

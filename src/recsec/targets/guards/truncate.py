"""Shorter lists: the cheapest guard there is."""

from __future__ import annotations

from typing import Self

from pydantic import Field
from torch import Tensor

from recsec.targets.guards.base import Guard, GuardConfig, Surroundings, best
from recsec.types import IntArray

__all__ = ["Truncate", "TruncateConfig"]


class TruncateConfig(GuardConfig):
    """Settings of ``Truncate``."""

    length: int = Field(5, ge=1, description="most items in a list, whatever was asked for")


class Truncate(Guard):
    """At most ``length`` items per list.

    The thief's answer is to ask more: each call teaches less, but nothing that is served is
    wrong.
    """

    name = "truncate"
    on_lists = True
    config_class = TruncateConfig
    by_account = False

    def __init__(self, length: int) -> None:
        self.length = length

    @classmethod
    def build(cls, config: TruncateConfig, surroundings: Surroundings) -> Self:
        """See ``Guard.build``."""
        return cls(config.length)

    def answer(self, account: str, histories: IntArray, scores: Tensor, k: int) -> IntArray:
        """See ``Guard.answer``."""
        lists = best(scores, k)
        lists[:, self.length :] = 0
        return lists

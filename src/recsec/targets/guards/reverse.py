"""The best items upside down: a published baseline, kept to show how little it is worth."""

from __future__ import annotations

from typing import Self

import numpy as np
from torch import Tensor

from recsec.targets.guards.base import Guard, GuardConfig, Surroundings, best
from recsec.types import IntArray

__all__ = ["Reverse", "flip"]


def flip(lists: IntArray) -> IntArray:
    """Lists ``(B, K)`` in reverse order; zeros stay at the end. Its own inverse.

    >>> flip(np.array([[1, 2, 3], [4, 5, 0]]))
    array([[3, 2, 1],
           [5, 4, 0]])
    """
    lengths = (lists > 0).sum(axis=1, keepdims=True)
    columns = np.arange(lists.shape[1])
    places = np.where(columns < lengths, lengths - 1 - columns, columns)
    flipped: IntArray = np.take_along_axis(lists, places, axis=1)
    return flipped


class Reverse(Guard):
    """The k best items, worst first.

    Source: baseline "Reverse" of Zhang et al., WSDM 2024. A thief who flips the lists back has
    lost nothing; the honest user has.
    """

    name = "reverse"
    on_lists = True
    by_account = False

    @classmethod
    def build(cls, config: GuardConfig, surroundings: Surroundings) -> Self:
        """See ``Guard.build``."""
        return cls()

    def answer(self, account: str, histories: IntArray, scores: Tensor, k: int) -> IntArray:
        """See ``Guard.answer``."""
        return flip(best(scores, k))

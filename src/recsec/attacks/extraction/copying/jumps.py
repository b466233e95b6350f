"""Do answers still belong to the history? A test that costs no call."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from recsec.targets import Chains
from recsec.types import IntArray

__all__ = ["jumped", "up_to_jumps"]

PAIRS = 50_000
"""Pairs of lists that are compared at once."""

Lists: TypeAlias = IntArray | npt.NDArray[np.int32]


def jumped(before: Lists, now: Lists, least: float) -> npt.NDArray[np.bool_]:
    """Where a list shares too little with the one before it.

    One more item in a history moves a recommender's list, but rarely all of it.

    Args:
        before: ``(B, K)`` lists, zeros where short; an empty one tells nothing.
        now: ``(B, K)`` lists of the same histories and one item more.
        least: share of the earlier list that is enough.

    >>> before, now = np.array([[1, 2], [1, 2], [0, 0]]), np.array([[2, 3], [4, 5], [4, 5]])
    >>> jumped(before, now, 0.1).tolist()
    [False, True, False]
    """
    rows = np.arange(len(now))[:, None] * (1 + max(before.max(initial=0), now.max(initial=0)))
    common = (np.isin(before + rows, now + rows) & (before > 0)).sum(axis=1)
    found: npt.NDArray[np.bool_] = common < least * (before > 0).sum(axis=1)
    return found


def up_to_jumps(chains: Chains, least: float) -> Chains:
    """The answers of each session before the first that jumped; the others count as not asked."""
    answers = chains.answers
    broken = np.zeros(len(answers), dtype=bool)
    for start in range(1, len(answers), PAIRS):
        now = answers[start : start + PAIRS]
        before = answers[start - 1 : start - 1 + len(now)]
        broken[start : start + PAIRS] = jumped(before, now, least) & (now[:, 0] > 0)
    broken[chains.offsets[:-1]] = False
    seen = np.concatenate([[0], np.cumsum(broken)])
    session = np.repeat(np.arange(len(chains)), np.diff(chains.offsets))
    kept = seen[1:] == seen[chains.offsets[session]]
    return replace(chains, answers=np.where(kept[:, None], answers, 0))

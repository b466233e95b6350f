"""What a target is: a recommender as the attacker reaches it, through a top-k API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from recsec.data.catalog import Catalog
from recsec.errors import TargetError
from recsec.types import IntArray

__all__ = ["Budget", "Target", "check_answer"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The attacker's limits. A call is one request: one history in, one list out.

    Attributes:
        calls: requests over all accounts.
        k: length of the lists.
        accounts: how many end users the attacker controls.
    """

    calls: int
    k: int = 10
    accounts: int = 1


@runtime_checkable
class Target(Protocol):
    """A top-k API over a public catalog.

    ``chunk`` is how many histories the harness should send at a time: answers are recorded after
    each chunk, so it is also the most that a crash can lose.
    """

    catalog: Catalog
    chunk: int

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """Ask for the ``k`` best items after each history.

        Args:
            account: the end user in whose name the requests are made.
            histories: ``(B, L)`` int64 catalog indices, oldest first, zeros on the right.
            k: list length.

        Returns:
            ``(B, k)`` int64 catalog indices, best first, distinct, zeros where the list is
            shorter than ``k``.

        Raises:
            TargetError: the target failed or broke its contract.
        """
        ...


def check_answer(answer: IntArray, *, rows: int, k: int, items: int) -> IntArray:
    """Hold an answer to the contract: shape, known items, no duplicates.

    Raises:
        TargetError: with the first row that breaks it.
    """
    if answer.shape != (rows, k):
        raise TargetError(f"asked for {rows} lists of {k} items, got an array {answer.shape}")
    if answer.size and (answer.min() < 0 or answer.max() > items):
        raise TargetError(f"an answer holds an item outside the catalog of {items} items")
    ordered = np.sort(answer, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)
    if twice.any():
        row = int(np.argmax(twice.any(axis=1)))
        item = int(ordered[row, 1:][twice[row]][0])
        raise TargetError(f"the list for history {row} of the batch names item {item} twice")
    return answer

"""What a target is: a recommender as the attacker reaches it, through a top-k API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from recsec.data.catalog import Catalog
from recsec.errors import TargetError
from recsec.evaluation.defects import repeated
from recsec.types import IntArray

__all__ = [
    "Budget",
    "PartialAnswer",
    "Stateful",
    "Target",
    "check_answer",
    "most_popular",
    "popular_first",
]


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


@runtime_checkable
class Stateful(Protocol):
    """A target in this process that remembers histories in order to extend them cheaply.

    ``pool`` is how many calls may wait before they are recorded: asking such a target again costs
    time only, and a segment on disk for each small query would cost more.
    """

    pool: int

    def follow(self, account: str, histories: IntArray) -> None:
        """Take note of a query that was answered from the record.

        What is asked afterwards is then computed exactly as if that query had been made here.
        """
        ...


class PartialAnswer(TargetError):  # noqa: N818 - a state, not a failure of its own
    """The target failed in the middle of a chunk; the rows that it did answer are kept.

    Attributes:
        lists: ``(B, k)`` int64 catalog indices.
        answered: ``(B,)`` bool, the rows of ``lists`` that are answers.
    """

    def __init__(
        self,
        message: str,
        *,
        lists: IntArray,
        answered: npt.NDArray[np.bool_],
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.lists = lists
        self.answered = answered


def most_popular(counts: IntArray, k: int) -> IntArray:
    """What is popular as a list ``(k,)``, zeros where there are fewer items.

    >>> most_popular(np.array([0, 2, 5, 2]), 5).tolist()
    [2, 1, 3, 0, 0]
    """
    best = np.argsort(-counts[1:], kind="stable")[:k] + 1
    return np.pad(best, (0, k - len(best)))


def popular_first(
    ask: Callable[[IntArray], IntArray], histories: IntArray, k: int, counts: IntArray | None
) -> IntArray:
    """Ask about histories with items; those of no items get what is popular, and nobody is asked.

    Args:
        ask: histories ``(B', L)`` to lists ``(B', k)``.
        histories: ``(B, L)`` catalog indices.
        k: list length.
        counts: ``(N + 1,)`` how often each item was chosen; None: all histories are asked about.
    """
    known = (histories > 0).any(axis=1)
    if counts is None or known.all():
        return ask(histories)
    lists = np.zeros((len(histories), k), dtype=np.int64)
    lists[~known] = most_popular(counts, k)
    if known.any():
        found = ask(histories[known])
        lists[known, : found.shape[1]] = found
    return lists


def check_answer(answer: IntArray, *, rows: int, k: int, items: int) -> IntArray:
    """Hold an answer to the contract: shape, known items, no duplicates.

    Raises:
        TargetError: with the first row that breaks it.
    """
    if answer.shape != (rows, k):
        raise TargetError(f"asked for {rows} lists of {k} items, got an array {answer.shape}")
    if answer.size and (answer.min() < 0 or answer.max() > items):
        raise TargetError(f"an answer holds an item outside the catalog of {items} items")
    twice = repeated(answer)
    if twice is not None:
        raise TargetError(
            f"the list for history {twice[0]} of the batch names item {twice[1]} twice"
        )
    return answer

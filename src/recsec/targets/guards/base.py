"""What a guard is: a defense that acts while a target answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from recsec.data.sequences import Sequences
from recsec.models.base import Recommender, top_k
from recsec.types import IntArray

__all__ = [
    "Guard",
    "GuardConfig",
    "Rescoring",
    "Surroundings",
    "answer_in_turn",
    "as_scores",
    "best",
    "lists_in_turn",
]


class GuardConfig(BaseModel):
    """Settings of a guard; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What a guard may know of the place where it stands.

    Attributes:
        recommender: whose answers it guards.
        train: histories of its training data; None where the data are not at hand.
    """

    recommender: Recommender
    train: Sequences | None = None

    @property
    def counts(self) -> IntArray | None:
        """``(N + 1,)`` how often each item was chosen in the training data, if known."""
        return None if self.train is None else self.train.counts


class Guard(ABC):
    """Decides what is served in place of the k best items.

    The same question gets the same answer, whoever asks beside it: what a thief sees twice must
    not differ, or he averages the guard away. (``throttle`` is as steady as the verdict it takes.)
    """

    name: ClassVar[str]
    config_class: ClassVar[type[GuardConfig]] = GuardConfig
    on_lists: ClassVar[bool] = False
    """Whether it can work where nothing but lists is known: it needs no scores and no recommender.
    """
    by_account: ClassVar[bool] = True
    """Whether the answer may depend on who asks; if not, a server asks for many at a time."""

    @classmethod
    @abstractmethod
    def build(cls, config: Any, surroundings: Surroundings) -> Self:
        """From settings, for one recommender.

        Raises:
            ConfigError: a setting that does not fit, or knowledge that is missing.
        """

    @abstractmethod
    def answer(self, account: str, histories: IntArray, scores: Tensor, k: int) -> IntArray:
        """What to serve.

        Args:
            account: who asks.
            histories: ``(B, L)`` int64 catalog indices, oldest first, zeros on the right.
            scores: ``(B, N + 1)`` float32; -inf for padding and for what must not be served,
                such as items of the history. Not to be written to.
            k: how many items are wanted.

        Returns:
            ``(B, k)`` int64 catalog indices of finite score, best first, distinct; zeros where
            the list is shorter.
        """

    def wants(self, k: int) -> int:
        """How long a list it would choose ``k`` items from, where only lists are known."""
        return k

    def reranked(
        self, account: str, histories: IntArray, lists: IntArray, k: int, *, items: int
    ) -> IntArray:
        """``answer`` where only lists are known.

        Args:
            account: see ``answer``.
            histories: see ``answer``.
            lists: ``(B, K)`` what the target gave, zeros where it gave less.
            k: see ``answer``.
            items: N, of the catalog.
        """
        return self.answer(account, histories, as_scores(lists, items), k)


class Rescoring(Guard):
    """A guard that changes scores and leaves the list to whoever comes after it."""

    @abstractmethod
    def rescored(self, histories: IntArray, scores: Tensor) -> Tensor:
        """Other scores ``(B, N + 1)``, -inf wherever ``scores`` are; see ``Guard.answer``."""

    def answer(self, account: str, histories: IntArray, scores: Tensor, k: int) -> IntArray:
        """The best items of the new scores."""
        return best(self.rescored(histories, scores), k)


def best(scores: Tensor, k: int) -> IntArray:
    """The ``k`` best items ``(B, k)`` of finite score, zeros where there are fewer."""
    lists = np.zeros((len(scores), k), dtype=np.int64)
    found = top_k(scores, k).numpy()
    lists[:, : found.shape[1]] = found
    return lists


def as_scores(lists: IntArray, items: int) -> Tensor:
    """Scores ``(B, N + 1)`` that say no more than lists ``(B, K)`` do: K, K - 1, ..., else -inf."""
    rows, width = lists.shape
    scores = torch.full((rows, items + 1), float("-inf"))
    places = torch.arange(width, 0, -1, dtype=scores.dtype).expand(rows, width)
    scores.scatter_(1, torch.from_numpy(np.ascontiguousarray(lists)), places)
    scores[:, 0] = float("-inf")
    return scores


def lists_in_turn(
    guards: Sequence[Guard],
    account: str,
    histories: IntArray,
    lists: IntArray,
    k: int,
    *,
    items: int,
) -> IntArray:
    """``answer_in_turn`` where only lists ``(B, K)`` of a catalog of ``items`` are known."""
    for guard in guards[:1]:
        lists = guard.reranked(account, histories, lists, k, items=items)
    for guard in guards[1:]:
        lists = guard.answer(account, histories, as_scores(lists, items), k)
    return lists[:, :k]


def answer_in_turn(
    guards: Sequence[Guard], account: str, histories: IntArray, scores: Tensor, k: int
) -> IntArray:
    """The answer of several guards, the first of them nearest to the recommender.

    Each next guard sees only what the one before it served, in that order: scores k, k - 1, ...
    for the items of its list and -inf for all others. So guards that choose items (watermark,
    quantize) come before those that order and cut (shuffle, reverse, truncate, throttle). Those
    that rescore (misinform) come first of all: the next one sees their scores.
    """
    while guards and isinstance(guards[0], Rescoring):
        scores = guards[0].rescored(histories, scores)
        guards = guards[1:]
    lists = best(scores, k) if not guards else guards[0].answer(account, histories, scores, k)
    for guard in guards[1:]:
        lists = guard.answer(account, histories, as_scores(lists, scores.shape[1] - 1), k)
    return lists

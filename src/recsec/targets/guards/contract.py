"""The contract of a guard as functions, for the tests of ours and of plugins.

In the tests of a plugin:

    @pytest.mark.parametrize("check", GUARD_CONTRACT, ids=lambda check: check.__name__)
    def test_contract(check):
        check(my_guard, histories, scores)

Each check raises ``TargetError`` that says what is wrong. ``histories`` are a few different ones,
``(B, L)`` int64 with zeros on the right; ``scores`` are ``(B, N + 1)`` float32 with -inf for
padding and history items, N at least 20.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from recsec.errors import TargetError
from recsec.targets.base import check_answer
from recsec.targets.guards.base import Guard
from recsec.types import IntArray

__all__ = ["GUARD_CONTRACT", "GuardCheck"]

GuardCheck: TypeAlias = Callable[[Guard, IntArray, Tensor], None]

ACCOUNT = "contract"


def answers_in_shape(guard: Guard, histories: IntArray, scores: Tensor) -> None:
    """Int64 ``(B, k)`` of distinct catalog indices, zeros only at the end."""
    for k in (1, 2, 10, scores.shape[1] + 3):
        lists = guard.answer(ACCOUNT, histories, scores, k)
        if lists.dtype != np.int64:
            raise TargetError(f"{guard.name} answers {lists.dtype}; expected int64")
        check_answer(lists, rows=len(histories), k=k, items=scores.shape[1] - 1)
        if ((lists[:, 1:] > 0) & (lists[:, :-1] == 0)).any():
            raise TargetError(f"{guard.name} left a gap in a list: zeros belong at its end")


def answers_no_histories(guard: Guard, histories: IntArray, scores: Tensor) -> None:
    """No questions, no lists."""
    found = guard.answer(ACCOUNT, histories[:0], scores[:0], 3)
    if found.shape != (0, 3):
        raise TargetError(f"{guard.name} answered no histories with {found.shape}")


def serves_only_what_may_be_served(guard: Guard, histories: IntArray, scores: Tensor) -> None:
    """Nothing whose score is -inf, also where little else is left."""
    few = scores.clone()
    few[:, 8:] = float("-inf")
    for given in (scores, few):
        lists = torch.from_numpy(guard.answer(ACCOUNT, histories, given, 10))
        refused = torch.isneginf(given.gather(1, lists)) & (lists > 0)
        if bool(refused.any()):
            raise TargetError(f"{guard.name} served an item whose score is -inf")


def repeats_itself(guard: Guard, histories: IntArray, scores: Tensor) -> None:
    """The same question gets the same list: again, alone, in another order, with more padding."""
    first = guard.answer(ACCOUNT, histories, scores, 10)
    asked: dict[str, IntArray] = {
        "again": guard.answer(ACCOUNT, histories, scores, 10),
        "in another order": guard.answer(ACCOUNT, histories[::-1], scores.flip(0), 10)[::-1],
        "with more padding": guard.answer(ACCOUNT, np.pad(histories, ((0, 0), (0, 3))), scores, 10),
        "alone": np.concatenate(
            [
                guard.answer(ACCOUNT, histories[row : row + 1], scores[row : row + 1], 10)
                for row in range(len(histories))
            ]
        ),
    }
    for how, lists in asked.items():
        if not np.array_equal(first, lists):
            raise TargetError(f"{guard.name} gave other lists to the same questions {how}")


def leaves_its_arguments_alone(guard: Guard, histories: IntArray, scores: Tensor) -> None:
    """Histories and scores are not written to."""
    before, known = histories.copy(), scores.clone()
    guard.answer(ACCOUNT, histories, scores, 10)
    if not np.array_equal(before, histories) or not torch.equal(known, scores):
        raise TargetError(f"{guard.name} wrote to what it was given")


GUARD_CONTRACT: tuple[GuardCheck, ...] = (
    answers_in_shape,
    answers_no_histories,
    serves_only_what_may_be_served,
    repeats_itself,
    leaves_its_arguments_alone,
)

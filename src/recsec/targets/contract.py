"""The contract of a target as functions, for the tests of ours and of plugins.

In the tests of a plugin:

    @pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
    def test_contract(check):
        check(my_target, histories)

Each check raises ``TargetError`` that says what is wrong. ``histories`` are a few different ones,
``(B, L)`` int64 with zeros on the right; lists of up to 5 items are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from recsec.errors import TargetError
from recsec.targets.base import Target, check_answer
from recsec.targets.preflight import preflight
from recsec.types import IntArray

__all__ = ["CONTRACT", "Check"]

Check: TypeAlias = Callable[[Target, IntArray], None]

ACCOUNT = "contract"


def is_a_target(target: Target, histories: IntArray) -> None:
    """It has a catalog, a positive chunk, and ``query``."""
    if not isinstance(target, Target):
        raise TargetError(f"{target!r} lacks catalog, chunk or query")
    if target.chunk < 1:
        raise TargetError(f"chunk is {target.chunk}; expected at least 1")


def answers_in_shape(target: Target, histories: IntArray) -> None:
    """Lists are int64 ``(B, k)`` of distinct catalog indices, zeros only at the end."""
    for k in (1, 2, 5):
        answer = target.query(ACCOUNT, histories, k)
        if answer.dtype != np.int64:
            raise TargetError(f"answers are {answer.dtype}; expected int64")
        check_answer(answer, rows=len(histories), k=k, items=len(target.catalog))
        if ((answer[:, 1:] > 0) & (answer[:, :-1] == 0)).any():
            raise TargetError("a list has a gap: zeros belong at its end")


def answers_no_histories(target: Target, histories: IntArray) -> None:
    """A query without rows is answered without rows."""
    answer = target.query(ACCOUNT, histories[:0], 3)
    if answer.shape != (0, 3):
        raise TargetError(f"no histories were answered by an array {answer.shape}; expected (0, 3)")


def leaves_histories_alone(target: Target, histories: IntArray) -> None:
    """The caller's array is not written to."""
    before = histories.copy()
    target.query(ACCOUNT, histories, 5)
    if not np.array_equal(before, histories):
        raise TargetError("query changed the histories that it was given")


def ignores_padding(target: Target, histories: IntArray) -> None:
    """More zeros on the right change nothing."""
    wider = np.pad(histories, ((0, 0), (0, 3)))
    _same(target, histories, wider, "histories with more padding")


def answers_rows_alone(target: Target, histories: IntArray) -> None:
    """A history gets the same list alone as among others, whatever their order."""
    _same(target, histories, histories[::-1], "the same histories in another order", flip=True)
    together = target.query(ACCOUNT, histories, 5)
    for row, history in enumerate(histories):
        alone = target.query(ACCOUNT, history[None], 5)
        if not np.array_equal(alone[0], together[row]):
            raise TargetError(f"history {row} gets another list alone than among others")


def answers_growing_histories(target: Target, histories: IntArray) -> None:
    """Asking every prefix in turn ends with the list that asking at once gives."""
    rows = histories[(histories > 0).all(axis=1)]
    for length in range(1, rows.shape[1] + 1):
        grown = target.query(ACCOUNT, rows[:, :length], 5)
    if len(rows) and not np.array_equal(grown, target.query("other account", rows, 5)):
        raise TargetError("a history that grew item by item gets another list than at once")


def passes_preflight(target: Target, histories: IntArray) -> None:
    """What every audit checks before it spends its budget."""
    preflight(target, histories, 5, account=ACCOUNT)


def _same(target: Target, one: IntArray, other: IntArray, what: str, *, flip: bool = False) -> None:
    first, second = target.query(ACCOUNT, one, 5), target.query(ACCOUNT, other, 5)
    if not np.array_equal(first, second[::-1] if flip else second):
        raise TargetError(f"{what} got other lists")


CONTRACT: tuple[Check, ...] = (
    is_a_target,
    answers_in_shape,
    answers_no_histories,
    leaves_histories_alone,
    ignores_padding,
    answers_rows_alone,
    answers_growing_histories,
    passes_preflight,
)

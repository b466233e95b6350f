"""Checks of a target before a budget is spent on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsec.errors import TargetError, UsageError
from recsec.evaluation.defects import ALIKE, FEW, defects, one_ranking, own_share
from recsec.targets.base import Target, check_answer
from recsec.types import IntArray

__all__ = ["ASKINGS", "Preflight", "preflight"]

ASKINGS = 3
"""Times that each history is asked: twice alike, and once for a shorter list."""


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """What was learned; a target that cannot be audited raises instead.

    Attributes:
        calls: how many calls the check made.
        k: the list length asked for.
        shortest: length of the shortest list that came back.
        longest: of the longest one.
        ordered: a shorter list is the beginning of a longer one, so the order of ids is known.
        own_history: share of answered items that the history already held.
        defects: what a sound recommender does not do and an audit survives, in sentences.
    """

    calls: int
    k: int
    shortest: int
    longest: int
    ordered: bool
    own_history: float
    defects: tuple[str, ...] = ()


def preflight(
    target: Target, histories: IntArray, k: int, *, account: str = "preflight"
) -> Preflight:
    """Ask known histories twice, the second time in another order, and once for shorter lists.

    Args:
        target: whom to check; its calls are not metered here.
        histories: ``(B, L)`` int64, at least two different ones.
        k: the list length that the audit will ask for.
        account: in whose name.

    Raises:
        TargetError: the target fails, breaks its contract, answers the same history differently,
            also after others were asked, answers nothing, answers all histories alike or from one
            ranking, or answers a history by nothing but its own items.
        UsageError: fewer than two different histories.
    """
    rows = len(histories)
    if rows < 2 or (histories == histories[0]).all():
        raise UsageError("the pre-flight check needs at least two different histories")

    def ask(length: int) -> IntArray:
        answer = target.query(account, histories, length)
        return check_answer(answer, rows=rows, k=length, items=len(target.catalog))

    first = ask(k)
    backwards = target.query(account, histories[::-1], k)  # whom others precede is told apart
    second = check_answer(backwards, rows=rows, k=k, items=len(target.catalog))[::-1]
    changed = np.flatnonzero((first != second).any(axis=1))
    if len(changed):
        row = int(changed[0])
        start = int(np.argmax(first[row] != second[row])) // 5 * 5  # a stretch where they differ
        what = (
            f"{len(changed)} of {rows} histories got another list the second time (the first of "
            f"them{f' from place {start + 1} on' if start else ''} "
            f"{_names(target, first[row, start:])}, then {_names(target, second[row, start:])})"
        )
        one = histories[row : row + 1]
        if (target.query(account, one, k) == target.query(account, one, k)).all():
            raise TargetError(
                f"an answer depends on what others asked before: {what}",
                hint="keep questions apart: name the user by {session}, or remove the events of a "
                "question in a step after it; switch off A/B tests and caches that expire",
            )
        raise TargetError(
            f"the target does not repeat itself: {what}",
            hint="switch off randomness, A/B tests and caches that expire, then try again",
        )
    lengths = (first > 0).sum(axis=1)
    if not lengths.any():
        raise TargetError(
            f"the target answered {rows} histories with empty lists",
            hint="check that it knows the ids of --data, and answers users whom it has never seen",
        )
    if (first == first[0]).all():
        raise TargetError(
            f"the target gave {rows} different histories the same list "
            f"({_names(target, first[0])}): it does not look at the history",
            hint="check that the request carries the history, oldest item first",
        )
    own = own_share(first, histories)
    if own == 1:
        raise TargetError(
            f"the target gave {rows} histories nothing but their own items "
            f"({_names(target, first[0])}): it repeats what it is told",
            hint="leave the items of the history out of the answer",
        )
    different = len(np.unique(histories, axis=0))
    if different >= FEW and one_ranking(first, histories, items=len(target.catalog)) >= ALIKE:
        raise TargetError(
            f"the target answered {different} different histories from one and the same ranking: "
            "it looks at the history only to leave its items out",
            hint="check that the request carries the history, oldest item first",
        )
    shorter = max(1, k // 2)
    return Preflight(
        calls=ASKINGS * rows,
        k=k,
        shortest=int(lengths.min()),
        longest=int(lengths.max()),
        ordered=bool((ask(shorter) == first[:, :shorter]).all()),
        own_history=own,
        defects=defects(first, histories, k=k, items=len(target.catalog)),
    )


def _names(target: Target, row: IntArray) -> str:
    """The beginning of a list in external ids."""
    return ", ".join(str(item) for item in target.catalog.external(row)[:5]) + " ..."

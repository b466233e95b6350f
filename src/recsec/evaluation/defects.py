"""Lists that a sound recommender does not give: what is looked for, and the rule of each."""

from __future__ import annotations

import numpy as np

from recsec.types import IntArray

__all__ = ["ALIKE", "FEW", "defects", "one_ranking", "own_share", "repeated"]

FEW = 20
"""Histories below which it is no news that all lists follow one ranking."""

ALIKE = 0.9
"""Share of the listed items from which on one ranking explains them; ties leave a rest."""


def repeated(lists: IntArray) -> tuple[int, int] | None:
    """The first row that names an item twice, and the item; None where there is none."""
    ordered = np.sort(lists, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)
    if not twice.any():
        return None
    row = int(np.argmax(twice.any(axis=1)))
    return row, int(ordered[row, 1:][twice[row]][0])


def own_share(lists: IntArray, histories: IntArray) -> float:
    """Share of the listed items that the history already held; 0 where nothing is listed."""
    own = (lists[:, :, None] == histories[:, None, :]) & (lists > 0)[:, :, None]
    return float(own.any(axis=2).sum() / max(1, (lists > 0).sum()))


def one_ranking(lists: IntArray, histories: IntArray, *, items: int) -> float:
    """Share of the listed items that one ranking for everybody would list too.

    That ranking orders items by how often they are listed where the history doesn't hold them;
    everybody gets its beginning without the items of his history. Lists are looked at only as far
    as chance would reach a quarter of that.

    >>> lists, histories = np.array([[5, 6], [6, 7], [5, 6]]), np.array([[1, 2], [5, 1], [3, 4]])
    >>> one_ranking(lists, histories, items=20)
    1.0

    Args:
        lists: ``(B, K)`` catalog indices, best first, zeros where a list is shorter.
        histories: ``(B, L)`` catalog indices.
        items: N.
    """
    rows = np.arange(len(lists))[:, None]
    free = np.ones((len(lists), items + 1), dtype=bool)
    free[rows, histories] = False
    free[:, 0] = False
    width = max(1, min(lists.shape[1], int(free.sum(axis=1).min()) // 4))
    listed = np.zeros_like(free)
    listed[rows, lists[:, :width]] = True
    listed &= free
    often = listed.sum(axis=0) / np.maximum(1, free.sum(axis=0))
    expected = np.argsort(-np.where(free, often, -1.0), axis=1, kind="stable")[:, :width]
    return float(listed[rows, expected].sum() / max(1, listed.sum()))


def defects(lists: IntArray, histories: IntArray, *, k: int, items: int) -> tuple[str, ...]:
    """What is wrong with the answers of a model, in sentences; none for a sound one.

    - One ranking explains 90 % of what at least 20 histories get: the model doesn't look at them.
    - Every list is empty.
    - No list is as long as was asked, though the catalog has enough items.
    - Lists name items of their own history.

    Args:
        lists: ``(B, K)`` catalog indices, zeros where a list is shorter.
        histories: ``(B, L)`` int64 what was asked, zeros on the right.
        k: the length that was asked for.
        items: N.
    """
    lengths = (lists > 0).sum(axis=1)
    longest = int(lengths.max(initial=0))
    if longest == 0:
        return (f"all {len(lists):,} lists are empty",)
    found = []
    different = len(np.unique(histories, axis=0))
    alike = one_ranking(lists, histories, items=items)
    if different >= FEW and alike >= ALIKE:
        found.append(
            f"{alike:.0%} of what {different:,} different histories get comes from one and the "
            "same ranking: the model hardly looks at the history"
        )
    possible = min(k, items - int((histories > 0).sum(axis=1).min()))
    if longest < possible:
        found.append(f"no list is longer than {longest}, though {k} items were asked for")
    own = own_share(lists, histories)
    if own > 0:
        found.append(f"{own:.1%} of the listed items are in the history that was asked about")
    return tuple(found)

"""Lists that a sound recommender does not give: what is looked for, and the rule of each."""

from __future__ import annotations

import numpy as np

from recsec.types import IntArray

__all__ = ["FEW", "defects", "one_ranking", "own_share", "repeated"]

FEW = 20
"""Histories below which it is no news that all lists follow one ranking."""


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


def one_ranking(lists: IntArray, histories: IntArray) -> bool:
    """Whether one ranking of the items explains every list.

    A list is explained if it is the beginning of the ranking, without some items of its history.

    >>> one_ranking(np.array([[5, 6], [6, 7]]), np.array([[1, 2], [5, 1]]))
    True
    >>> one_ranking(np.array([[5, 6], [6, 5]]), np.array([[1, 2], [3, 4]]))
    False

    Args:
        lists: ``(B, K)`` catalog indices, best first, zeros where a list is shorter.
        histories: ``(B, L)`` catalog indices.
    """
    places = np.pad(lists, ((0, 0), (0, 1)))
    at = np.zeros(len(lists), dtype=np.int64)
    rows = np.arange(len(lists))
    while (heads := places[rows, at]).any():
        for item in np.unique(heads[heads > 0]):
            passed = (heads == item) | (heads == 0) | (histories == item).any(axis=1)
            if passed.all():
                at[heads == item] += 1
                break
        else:
            return False
    return True


def defects(lists: IntArray, histories: IntArray, *, k: int, items: int) -> tuple[str, ...]:
    """What is wrong with the answers of a model, in sentences; none for a sound one.

    - All histories get lists of one ranking (at least 20 histories): it doesn't look at them.
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
    if different >= FEW and one_ranking(lists, histories):
        found.append(
            f"all {different:,} different histories get lists of one and the same ranking: "
            "the model does not look at the history"
        )
    possible = min(k, items - int((histories > 0).sum(axis=1).min()))
    if longest < possible:
        found.append(f"no list is longer than {longest}, though {k} items were asked for")
    own = own_share(lists, histories)
    if own > 0:
        found.append(f"{own:.1%} of the listed items are in the history that was asked about")
    return tuple(found)

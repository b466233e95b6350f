"""What lists do to a catalog: how much of it they show, and how popular, old or alike it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsec.types import FloatArray, IntArray

__all__ = [
    "coverage",
    "genre_confusion",
    "genre_counts",
    "jaccard",
    "mean_per_list",
    "popularity_percentiles",
    "weighted_jaccard",
]


def _ratio(part: FloatArray, whole: FloatArray | IntArray) -> FloatArray:
    """``part / whole`` per row, NaN where ``whole`` is 0."""
    out = np.full(len(part), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def coverage(lists: IntArray, items: int) -> float:
    """Share of the ``items`` catalog items that stand in at least one list ``(U, K)``.

    >>> coverage(np.array([[1, 2], [2, 0]]), 4)
    0.5
    """
    seen = np.bincount(lists.ravel(), minlength=items + 1)[1:] > 0
    return float(seen.mean())


def popularity_percentiles(counts: IntArray) -> FloatArray:
    """Percentile of each item by how often it occurs: 0 rarest, 1 most frequent, ties share.

    The percentile is the share of other items that occur less often, plus half of those that occur
    as often, so the mean over the catalog is 1/2 for any data.

    Args:
        counts: ``(N + 1,)``, position 0 (padding) ignored.

    Returns:
        ``(N + 1,)`` in [0, 1]; NaN for padding.

    >>> popularity_percentiles(np.array([0, 7, 1, 1])).tolist()
    [nan, 1.0, 0.25, 0.25]
    """
    values = counts[1:]
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    others = max(1, len(values) - 1)
    return np.concatenate([[np.nan], (below + upto - 1) / 2 / others])


def mean_per_list(values: FloatArray, lists: IntArray) -> FloatArray:
    """Mean of an item property over each list.

    Args:
        values: ``(N + 1,)``; NaN marks items without a value, and must mark padding.
        lists: ``(U, K)`` catalog indices.

    Returns:
        ``(U,)``; NaN where no item of the list has a value.
    """
    table = values[lists]
    known = ~np.isnan(table)
    count = known.sum(axis=1)
    total = np.where(known, table, 0.0).sum(axis=1)
    return _ratio(total, count)


def genre_counts(lists: IntArray, genres: npt.NDArray[np.bool_]) -> FloatArray:
    """How many items of each list carry each genre.

    Args:
        lists: ``(U, K)`` catalog indices.
        genres: ``(N + 1, G)``, row 0 empty.

    Returns:
        ``(U, G)`` float64; an item counts once for each of its genres.
    """
    out = np.empty((len(lists), genres.shape[1]))
    table = genres.astype(np.float32)
    step = max(1, 4_000_000 // max(1, lists.shape[1] * max(1, genres.shape[1])))
    for start in range(0, len(lists), step):
        part = slice(start, start + step)
        out[part] = table[lists[part]].sum(axis=1)
    return out


def genre_confusion(
    targets: IntArray, lists: IntArray, genres: npt.NDArray[np.bool_]
) -> FloatArray:
    """Which genres are recommended to those who went on to choose each genre.

    An item with several genres counts in equal parts for each.

    Args:
        targets: ``(U,)`` the items chosen.
        lists: ``(U, K)`` the items recommended.
        genres: ``(N + 1, G)``, row 0 empty.

    Returns:
        ``(G, G)``: row g holds the shares of the recommended genres where an item of genre g was
        chosen, and sums to 1; NaN where no item of genre g was chosen.
    """
    parts = genres / np.maximum(genres.sum(axis=1, keepdims=True), 1)
    total = np.zeros((genres.shape[1], genres.shape[1]))
    for column in lists.T:
        total += parts[targets].T @ parts[column]
    size = total.sum(axis=1, keepdims=True)
    shares = np.full_like(total, np.nan)
    np.divide(total, size, out=shares, where=size > 0)
    return shares


def jaccard(a: FloatArray, b: FloatArray) -> FloatArray:
    """``|A ∩ B| / |A ∪ B|`` of the genres that occur at all, row by row; NaN where both are empty.

    Args:
        a: ``(U, G)`` genre counts.
        b: ``(U, G)`` genre counts.

    >>> jaccard(np.array([[2.0, 1.0, 0.0]]), np.array([[0.0, 3.0, 1.0]])).round(3)
    array([0.333])
    """
    return weighted_jaccard((a > 0).astype(np.float64), (b > 0).astype(np.float64), shares=False)


def weighted_jaccard(a: FloatArray, b: FloatArray, *, shares: bool = True) -> FloatArray:
    """``sum min / sum max`` of genre shares, row by row: how alike two mixes of genres are.

    A set says only which genres occur, and a long history holds nearly all; this says how much of
    each. NaN where a row has no genre (with ``shares=False``: where both have none).

    Source: Ruzicka similarity, e.g. Cha, Int. J. Math. Models 1(4) 2007, table 1.

    Args:
        a: ``(U, G)`` genre counts.
        b: ``(U, G)`` genre counts.
        shares: divide each row by its sum first.
    """
    if shares:
        size_a, size_b = a.sum(axis=1, keepdims=True), b.sum(axis=1, keepdims=True)
        empty = (size_a == 0) | (size_b == 0)
        a = a / np.where(empty, 1.0, size_a)
        b = b / np.where(empty, 1.0, size_b)
        upper = np.where(empty[:, 0], 0.0, np.maximum(a, b).sum(axis=1))
    else:
        upper = np.maximum(a, b).sum(axis=1)
    lower = np.minimum(a, b).sum(axis=1)
    return _ratio(lower, upper)

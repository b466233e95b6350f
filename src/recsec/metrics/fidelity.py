"""How alike two rankings are, list by list.

All functions take two arrays of lists ``(U, K)`` int64, best first, row u of both for the same
user; zeros stand where a list is shorter than K. They return ``(U,)`` float64.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsec.types import FloatArray, IntArray

__all__ = ["agreement", "kendall_tau", "rbo"]

CELLS = 4_000_000  # comparisons held at a time: a few MB of booleans


def _check(a: IntArray, b: IntArray) -> None:
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(
            f"two arrays of lists of one shape are needed, got {a.shape} and {b.shape}"
        )


def _places(a: IntArray, b: IntArray) -> IntArray:
    """``(U, K)`` where each item of ``b`` stands in ``a`` (0 is first); K where it does not."""
    users, k = a.shape
    out = np.empty((users, k), dtype=np.int64)
    step = max(1, CELLS // max(1, k * k))
    for start in range(0, users, step):
        part = slice(start, start + step)
        same = b[part, :, None] == a[part, None, :]
        same &= b[part, :, None] > 0
        out[part] = np.where(same.any(axis=2), same.argmax(axis=2), k)
    return out


def agreement(a: IntArray, b: IntArray, k: int) -> FloatArray:
    """Agr@k: the share of the first ``k`` places that hold the same items, order ignored.

    ``|A ∩ B| / k``. Places that a short list leaves empty never agree.

    Source: Yue et al., "Black-Box Attacks on Sequential Recommenders via Data-Free Model
    Extraction", RecSys 2021.

    Raises:
        ValueError: the lists are shorter than ``k``.

    >>> agreement(np.array([[1, 2, 3, 4]]), np.array([[4, 3, 9, 8]]), 4)
    array([0.5])
    """
    _check(a, b)
    if not 1 <= k <= a.shape[1]:
        raise ValueError(f"agreement at {k} needs lists of at least {k} items, got {a.shape[1]}")
    shared: IntArray = (_places(a[:, :k], b[:, :k]) < k).sum(axis=1)
    return shared / k


def rbo(a: IntArray, b: IntArray, p: float = 0.9) -> FloatArray:
    """Rank-biased overlap, extrapolated from finite lists: 1 for equal lists, 0 for disjoint ones.

    The agreement at each depth d weighs ``(1 - p) p^(d-1)``; beyond the end of the lists the last
    agreement is carried on. Two lists for the same user may have different lengths. NaN where both
    are empty.

    Source: Webber, Moffat & Zobel, "A similarity measure for indefinite rankings", ACM TOIS 28(4)
    2010, eq. 32 (RBO_ext for lists of uneven length, no ties).

    Args:
        a: lists.
        b: lists.
        p: persistence in (0, 1); with 0.9 the first ten places carry 86 % of the weight.
    """
    _check(a, b)
    if not 0 < p < 1:
        raise ValueError(f"p must lie between 0 and 1, got {p}")
    users, k = a.shape
    places = _places(a, b)
    deeper = np.maximum(places, np.arange(k))  # the depth at which a common item is in both
    shared = np.zeros((users, k + 1))
    row, column = np.nonzero(places < k)
    np.add.at(shared, (row, deeper[row, column] + 1), 1.0)
    overlap = shared.cumsum(axis=1)  # X_d at column d
    lengths = np.stack([(a > 0).sum(axis=1), (b > 0).sum(axis=1)])
    short, long = lengths.min(axis=0), lengths.max(axis=0)
    at_short = np.take_along_axis(overlap, short[:, None], axis=1)
    at_long = np.take_along_axis(overlap, long[:, None], axis=1)[:, 0]
    depth = np.arange(1, k + 1)
    s = np.maximum(short, 1)[:, None]
    beyond = np.clip(depth - short[:, None], 0, None) * at_short / s
    weights = np.where(depth <= long[:, None], p**depth / depth, 0.0)
    summed = ((overlap[:, 1:] + beyond) * weights).sum(axis=1)
    length = np.maximum(long, 1)
    carried = ((at_long - at_short[:, 0]) / length + (at_short / s)[:, 0]) * p**long
    return np.where(long > 0, (1 - p) / p * summed + carried, np.nan)


def _order_signs(places: IntArray, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """``(U, M, M)``: +1 where item i stands before item j, -1 after, 0 tied or unknown."""
    signs: npt.NDArray[np.int8] = np.sign(places[:, None, :] - places[:, :, None]).astype(np.int8)
    signs *= known[:, None, :] & known[:, :, None]
    return signs


def kendall_tau(a: IntArray, b: IntArray) -> FloatArray:
    """Kendall's tau-b of the two orders on the union of both lists.

    An item that a list lacks stands after its end, tied with the others that it lacks. So equal
    lists give 1, and disjoint lists give a negative number, not NaN, as a tau on the intersection
    would. NaN where the union holds fewer than two items or a list has one item only and it is all
    of the union.

    Source: Kendall, Biometrika 33 (1945), for tau-b; the placement of missing items is that of
    Fagin, Kumar & Sivakumar, "Comparing top k lists", SODA 2003, with their neutral p = 1/2.

    >>> kendall_tau(np.array([[1, 2, 3]]), np.array([[1, 3, 2]])).round(3)
    array([0.333])
    """
    _check(a, b)
    users, k = a.shape
    out = np.full(users, np.nan)
    step = max(1, CELLS // max(1, 16 * k * k))
    for start in range(0, users, step):
        part = slice(start, start + step)
        first, second = a[part], b[part]
        of_second = _places(first, second)  # places in a of the items of b
        of_first = _places(second, first)
        own = np.broadcast_to(np.arange(k), first.shape)
        # The union: all of a, then what only b has.
        known = np.concatenate([first > 0, (second > 0) & (of_second == k)], axis=1)
        in_a = _order_signs(np.concatenate([own, of_second], axis=1), known)
        in_b = _order_signs(np.concatenate([of_first, own], axis=1), known)
        concordant = np.einsum("uij,uij->u", in_a, in_b, dtype=np.int64)
        pairs_a = np.einsum("uij,uij->u", in_a, in_a, dtype=np.int64)
        pairs_b = np.einsum("uij,uij->u", in_b, in_b, dtype=np.int64)
        size = np.sqrt(pairs_a * pairs_b.astype(np.float64))
        out[part] = np.divide(concordant, size, out=np.full(len(size), np.nan), where=size > 0)
    return out

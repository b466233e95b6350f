"""Genre bias: re-order the best items toward the genres of the history."""

from __future__ import annotations

import numpy as np

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError
from recsec.metrics.catalog import genre_counts
from recsec.types import Answerer, FloatArray, IntArray

__all__ = ["POOL", "check_weight", "genre_match", "genre_rerank", "with_genre_bias"]

POOL = 100
TEMPERATURE = 20.0


def check_weight(weight: float) -> None:
    """Refuse a weight outside [0, 1].

    Raises:
        ConfigError: it is outside.
    """
    if not 0 <= weight <= 1:
        raise ConfigError(f"the genre bias must lie between 0 and 1, got {weight}")


def genre_match(lists: IntArray, histories: IntArray, catalog: Catalog) -> FloatArray:
    """Cosine of each item's genres and the genre counts of the history, in [0, 1].

    Args:
        lists: ``(B, M)`` catalog indices.
        histories: ``(B, L)`` catalog indices, zeros on the right.
        catalog: gives the genres.

    Returns:
        ``(B, M)``; 0 for padding, and where the item or the whole history has no genre.
    """
    liked = genre_counts(histories, catalog.genre_matrix)
    items = catalog.genre_matrix.astype(np.float64)
    liked /= np.maximum(np.linalg.norm(liked, axis=1, keepdims=True), 1e-12)
    items /= np.maximum(np.linalg.norm(items, axis=1, keepdims=True), 1e-12)
    match: FloatArray = np.einsum("bmg,bg->bm", items[lists], liked)
    return match


def genre_rerank(
    lists: IntArray, histories: IntArray, catalog: Catalog, *, weight: float, k: int
) -> IntArray:
    """The ``k`` best of each list after genre bias.

    For the item at rank r (1 is best) of M::

        score = (1 - w) * a_r + w * g
        a_r = softmax(-r / T) / max softmax = exp(-(r - 1) / T),    T = 20
        g   = cosine(genres of the item, genre counts of the history)

    Both parts lie in [0, 1] and the first is 1 for the best item. It is made from ranks, not from
    scores, so that one weight means the same for every model, also for a target that gives lists
    only. Equal scores keep the old order: with ``w = 0``, or without genres, nothing changes.

    Args:
        lists: ``(B, M)`` catalog indices, best first, zeros where short.
        histories: ``(B, L)`` catalog indices, zeros on the right.
        catalog: gives the genres.
        weight: w in [0, 1].
        k: length of the result, at most M.

    Raises:
        ConfigError: the weight is outside [0, 1].
    """
    check_weight(weight)
    by_rank = np.exp(-np.arange(lists.shape[1]) / TEMPERATURE)
    score = (1 - weight) * by_rank + weight * genre_match(lists, histories, catalog)
    order = np.argsort(np.where(lists > 0, -score, np.inf), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(lists, order, axis=1)


def with_genre_bias(
    answer: Answerer, catalog: Catalog, *, weight: float, pool: int = POOL
) -> Answerer:
    """An answerer that re-ranks the best ``pool`` items of another; see ``genre_rerank``.

    Args:
        answer: asked for ``max(k, pool)`` items.
        catalog: gives the genres.
        weight: w in [0, 1].
        pool: how far down an item may come from.

    Raises:
        ConfigError: the weight is outside [0, 1].
    """
    check_weight(weight)

    def biased(histories: IntArray, k: int) -> IntArray:
        lists = answer(histories, max(k, pool))
        return genre_rerank(lists, histories, catalog, weight=weight, k=k)

    return biased

"""Top-k lists of many users, from a recommender or from anything that only gives lists."""

from __future__ import annotations

import numpy as np

from recsec.data.sequences import Split, Stage
from recsec.errors import DataError, TargetError
from recsec.evaluation.defects import repeated
from recsec.models.base import Recommender
from recsec.types import Answerer, IntArray, Progress

__all__ = ["answer_lists", "as_answerer", "check_catalog", "fit_lists"]

BATCH = 256


def as_answerer(source: Recommender | Answerer) -> Answerer:
    """The top-k view of a recommender (history excluded); an answerer is returned as it is."""
    return source.top_k if isinstance(source, Recommender) else source


def check_catalog(source: Recommender | Answerer, split: Split) -> None:
    """A recommender must rank the very items of the split, in the same order.

    Raises:
        DataError: it was trained on another catalog, so its indices mean other items.
    """
    if not isinstance(source, Recommender) or source.catalog is split.catalog:
        return
    ours, theirs = split.catalog.ids, source.catalog.ids
    if not np.array_equal(ours, theirs):
        raise DataError(
            f"the recommender {source.name} ranks {len(theirs)} items, the data hold {len(ours)}: "
            "not the same catalog in the same order",
            hint="use the data set, and the filters, that it was trained on",
        )


def fit_lists(lists: IntArray, *, rows: int, k: int) -> IntArray:
    """Lists of exactly ``k`` places: longer ones are cut, missing places become 0.

    Args:
        lists: ``(B, K)`` catalog indices.
        rows: B, how many lists were asked for.
        k: width of the result.

    Raises:
        TargetError: not one list per history, or a list that names an item twice.
    """
    lists = np.asarray(lists, dtype=np.int64)
    if lists.ndim != 2 or len(lists) != rows:
        raise TargetError(f"asked for {rows} lists, got an array of shape {lists.shape}")
    twice = repeated(lists)
    if twice is not None:
        raise TargetError(f"list {twice[0]} of {rows} names item {twice[1]} twice")
    out = np.zeros((rows, k), dtype=np.int64)
    width = min(k, lists.shape[1])
    out[:, :width] = lists[:, :width]
    return out


def answer_lists(
    source: Recommender | Answerer,
    split: Split,
    k: int,
    *,
    stage: Stage = "test",
    users: IntArray | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> IntArray:
    """The lists of all users (or those given) after their histories of ``stage``.

    Args:
        source: a recommender, or an answerer that leaves history items out.
        split: the users.
        k: list length.
        stage: which item is held out.
        users: ``(U,)`` user numbers, by default all in order.
        batch: histories asked at a time.
        progress: told after each batch.

    Returns:
        ``(U, k)`` int64 catalog indices, best first, zeros where a list is shorter.

    Raises:
        DataError: a recommender ranks other items than the split holds.
    """
    check_catalog(source, split)
    answer = as_answerer(source)
    total = len(split.full) if users is None else len(users)
    out = np.zeros((total, k), dtype=np.int64)
    done = 0
    for part in split.batches(stage, size=batch, users=users):
        rows = len(part.users)
        out[done : done + rows] = fit_lists(answer(part.histories, k), rows=rows, k=k)
        done += rows
        if progress is not None:
            progress("lists", done, total)
    return out

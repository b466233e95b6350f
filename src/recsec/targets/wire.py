"""The border of a target that is not ours: external ids out, checked catalog indices in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recsec.data.catalog import Catalog
from recsec.errors import DataError, TargetError
from recsec.targets.wall import kind_of
from recsec.types import IntArray, ItemId

__all__ = ["external_histories", "read_list"]


def external_histories(histories: IntArray, catalog: Catalog) -> list[list[ItemId]]:
    """Histories ``(B, L)`` as lists of external ids, oldest first."""
    return [catalog.external(row) for row in histories]


def _item_id(item: Any, catalog: Catalog) -> ItemId:
    """An id as the catalog writes it: ``"12"`` and numpy's 12 are 12 where ids are numbers."""
    if isinstance(item, np.generic):
        item = item.item()
    if isinstance(item, str):
        return catalog.parse_id(item)
    if isinstance(item, int) and not isinstance(item, bool):
        return item if catalog.table["id"].dtype.is_integer() else str(item)
    raise DataError(f"{item!r} ({kind_of(item)}) is not an item id")


def read_list(answer: Any, *, catalog: Catalog, k: int, whose: str) -> IntArray:
    """One list of external ids as ``(k,)`` catalog indices, zeros where it is shorter.

    Args:
        answer: what came back; a sequence of ids is expected.
        catalog: the items.
        k: how many were asked for.
        whose: the target's name, for the error.

    Raises:
        TargetError: no list, too long, an unknown id, or an id twice.
    """
    if isinstance(answer, np.ndarray):
        answer = answer.tolist()
    if not isinstance(answer, Sequence) or isinstance(answer, str | bytes):
        raise TargetError(
            f"{whose} answered {_short(answer)}; expected a list of at most {k} item ids"
        )
    if len(answer) > k:
        raise TargetError(
            f"{whose} answered {len(answer)} items where {k} were asked for",
            hint="let it respect k, or ask for the length that it always gives",
        )
    try:
        ids = [_item_id(item, catalog) for item in answer]
        indices = catalog.index(ids)
    except DataError as error:
        raise TargetError(
            f"{whose} answered an unknown item: {error.message}",
            hint="its ids must be those of the data set that the audit names",
        ) from error
    if len(set(ids)) < len(ids):
        twice = next(item for item in ids if ids.count(item) > 1)
        raise TargetError(f"{whose} named item {twice!r} twice in one list")
    return np.pad(indices, (0, k - len(indices)))


def _short(value: Any) -> str:
    """A value for an error message."""
    text = repr(value)
    return f"{text[:80]}... ({kind_of(value)})" if len(text) > 80 else text

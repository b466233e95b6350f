"""The border of a target that is not ours: external ids out, checked catalog indices in."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsec.data.catalog import Catalog
from recsec.errors import DataError, TargetError
from recsec.targets.wall import kind_of
from recsec.types import IntArray, ItemId

__all__ = ["Tally", "Unknown", "external_histories", "read_list", "unknown_items"]

ENOUGH = 20
"""Ids from which on the share of unknown ones says whether the catalog is the right one."""
TOLD = 0.01
"""Share of unknown ids above which a report says so."""


@dataclass(frozen=True)
class Unknown:
    """Ids that a target listed and the catalog lacks: they are left out, and their list closes up.

    Attributes:
        listed: ids that it listed.
        unknown: of these, how many the catalog lacks.
        example: one of them.
    """

    listed: int = 0
    unknown: int = 0
    example: str = ""

    @property
    def share(self) -> float:
        """Of all listed ids; 0 where nothing was listed."""
        return self.unknown / max(1, self.listed)

    @property
    def grave(self) -> bool:
        """Whether a report says so."""
        return self.share > TOLD

    def __add__(self, other: Unknown) -> Unknown:
        return Unknown(
            self.listed + other.listed,
            self.unknown + other.unknown,
            self.example or other.example,
        )

    def said(self) -> str:
        """In a sentence without its end; empty where there are none."""
        if not self.unknown:
            return ""
        return (
            f"{self.unknown:,} of {self.listed:,} listed ids ({self.share:.1%}) are not in the "
            f"catalog, such as {self.example}: they are left out, and the lists close up"
        )


class Tally:
    """Counts the ids that a target lists and the catalog lacks; threads may count together."""

    def __init__(self) -> None:
        self.found = Unknown()
        self._lock = threading.Lock()

    def add(self, more: Unknown) -> bool:
        """Count a list; whether the catalog still looks like the target's.

        It does not when nothing that was listed is known, or more than half is unknown once enough
        was listed.
        """
        with self._lock:
            self.found = found = self.found + more
        nothing = 1 < found.unknown == found.listed
        return not (nothing or (found.listed >= ENOUGH and found.share > 0.5))


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


def unknown_items(target: object) -> Unknown:
    """What a target listed so far that its catalog lacks; nothing where it lists indices."""
    while target is not None:
        tally = getattr(target, "tally", None)
        if isinstance(tally, Tally):
            return tally.found
        target = getattr(target, "target", None)
    return Unknown()


def read_list(
    answer: Any, *, catalog: Catalog, k: int, whose: str, tally: Tally | None = None
) -> IntArray:
    """One list of external ids as ``(k,)`` catalog indices, zeros where it is shorter.

    An id that the catalog lacks, such as an item that filters dropped, is counted and left out; the
    items behind it move up.

    Args:
        answer: what came back; a sequence of ids is expected.
        catalog: the items.
        k: how many were asked for.
        whose: the target's name, for the error.
        tally: counts ids that the catalog lacks; without one they are an error.

    Raises:
        TargetError: no list, too long, what is no id at all, an id twice, or ids that are mostly
            those of another catalog.
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
    except DataError as error:
        raise _strange(whose, error) from error
    if len(set(ids)) < len(ids):
        twice = next(item for item in ids if ids.count(item) > 1)
        raise TargetError(
            f"{whose} named item {twice!r} twice in one list",
            hint="name each item once: list(dict.fromkeys(ids)) keeps its best place; the response "
            "of an API must point at one list",
        )
    known, unknown = catalog.known(ids)
    fits = not unknown
    if tally is not None:
        fits = tally.add(Unknown(len(ids), len(unknown), _short(unknown[0]) if unknown else ""))
    try:
        indices = catalog.index(known if fits else ids)
    except DataError as error:
        raise _strange(whose, error) from error
    return np.pad(indices, (0, k - len(indices)))


def _strange(whose: str, error: DataError) -> TargetError:
    return TargetError(
        f"{whose} answered an unknown item: {error.message}",
        hint="its ids must be those of the data set that the audit names",
    )


def _short(value: Any) -> str:
    """A value for an error message."""
    text = repr(value)
    return f"{text[:80]}... ({kind_of(value)})" if len(text) > 80 else text

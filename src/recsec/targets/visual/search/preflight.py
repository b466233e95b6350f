"""The pre-flight of a visual search: photos of the catalog, as they are, find what they must."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsec.errors import TargetError
from recsec.targets.visual.search.client import ImageSearch
from recsec.types import IntArray

__all__ = ["Repeats", "check_search"]

CHECKED = 3
"""Photos that are uploaded."""


@dataclass(frozen=True)
class Repeats:
    """What the pre-flight saw.

    Attributes:
        asked: photos that were uploaded as they are.
        first: of these, lists that began with the item itself.
        same: whether the first, asked again, gave the same list.
    """

    asked: int
    first: int
    same: bool

    def __str__(self) -> str:
        steady = "the same list" if self.same else "another list, so places are one draw of many"
        return (
            f"{self.first} of {self.asked} photos of the catalog find themselves first; asked "
            f"again it gives {steady}"
        )


def check_search(search: ImageSearch, images: npt.NDArray[np.uint8], rows: IntArray) -> Repeats:
    """Upload a few photos of the catalog, and the first of them twice.

    Args:
        search: is asked.
        images: ``(B, 3, S, S)`` uint8 photos of the catalog.
        rows: their rows.

    Raises:
        TargetError: none of them finds itself, so that the search has other photos or ids. After
            re-listing this says nothing: an item is in no list of its own.
    """
    shown = min(CHECKED, len(rows))
    lists = [search.list(images[at], int(rows[at]), int(rows[at])) for at in range(shown)]
    again = search.list(images[0], int(rows[0]), int(rows[0]))
    known = [row in found for row, found in zip(rows, lists, strict=False)]
    if not search.relists and not any(known):
        raise TargetError(
            f"{search.name} lists none of {shown} photos of the catalog when it is shown them: "
            "it searches other photos, or its ids are others",
            hint="check --data, size, and the way photos become squares",
        )
    first = sum(len(found) > 0 and found[0] == row for row, found in zip(rows, lists, strict=False))
    return Repeats(shown, first, bool(np.array_equal(lists[0], again)))

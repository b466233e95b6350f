"""The pre-flight of a visual search: photos of the catalog, as they are, find what they must.

Where the file names ranks of the user's own system, these are reproduced too, or nothing runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsec.errors import TargetError
from recsec.targets.visual.ranks import LEAST, read_ranks
from recsec.targets.visual.search.client import ImageSearch
from recsec.targets.visual.search.file import SearchFile
from recsec.types import IntArray

__all__ = ["Repeats", "check_search", "checking_uploads"]

CHECKED = 3
"""Photos that are uploaded."""
NEAR = 5
"""Places among which at least half of them must find themselves; copies may stand before them."""
RANKED = 20
"""Items of a table of ranks that are asked about."""
OFF = 1
"""Places that a neighbor may be off: near ties change places where a photo is decoded otherwise."""


@dataclass(frozen=True)
class Repeats:
    """What the pre-flight saw.

    Attributes:
        asked: photos that were uploaded as they are.
        first: of these, lists that began with the item itself.
        same: whether the first, asked again, gave the same list.
        ranks: places of the user's own system that were found again, and how many there were.
    """

    asked: int
    first: int
    same: bool
    ranks: tuple[int, int] | None = None

    def __str__(self) -> str:
        steady = "the same list" if self.same else "another list, so places are one draw of many"
        told = (
            "" if self.ranks is None else "; {} of {} known ranks found again".format(*self.ranks)
        )
        return (
            f"{self.first} of {self.asked} photos of the catalog find themselves first; asked "
            f"again it gives {steady}{told}"
        )


def checking_uploads(config: SearchFile) -> int:
    """Photos that ``check_search`` uploads at most."""
    return CHECKED + 1 + (RANKED if config.ranks is not None else 0)


def check_search(search: ImageSearch, images: npt.NDArray[np.uint8], rows: IntArray) -> Repeats:
    """Upload a few photos of the catalog, and the first of them twice.

    Args:
        search: is asked.
        images: ``(B, 3, S, S)`` uint8 photos of the catalog.
        rows: their rows.

    Raises:
        DataError: the table of ranks is missing or broken.
        TargetError: most of them do not find themselves, so that the search has other photos or
            ids, or the ranks are others. After re-listing the first says nothing: an item is in no
            list of its own.
    """
    shown = min(CHECKED, len(rows))
    lists = [search.list(images[at], int(rows[at]), int(rows[at])) for at in range(shown)]
    again = search.list(images[0], int(rows[0]), int(rows[0]))
    known = sum(row in found[:NEAR] for row, found in zip(rows, lists, strict=False))
    if not search.relists and 2 * known < shown:
        raise TargetError(
            f"{search.name} lists {known} of {shown} photos of the catalog among the first {NEAR} "
            "when it is shown them: it searches other photos, or its ids are others",
            hint="check --data, size, and the way photos become squares",
        )
    first = sum(len(found) > 0 and found[0] == row for row, found in zip(rows, lists, strict=False))
    return Repeats(shown, first, bool(np.array_equal(lists[0], again)), _known_ranks(search))


def _known_ranks(search: ImageSearch) -> tuple[int, int] | None:
    """How many places of the file's table the search gives too, and how many could be looked at."""
    table, photos = search.config.ranks, search.photos
    if table is None:
        return None
    known = read_ranks(table, photos)
    fits: list[bool] = []
    wrong = ""
    for item in list(dict.fromkeys(known.items.tolist()))[:RANKED]:
        photo = np.array(photos.pixels([item], search.size))[0]
        found = search.list(photo, item, item)
        found = found[found != item]
        for at in np.flatnonzero((known.items == item) & (known.places <= len(found))).tolist():
            place = np.flatnonzero(found == known.neighbors[at]) + 1
            fits.append(bool(len(place) and abs(int(place[0]) - int(known.places[at])) <= OFF))
            if not fits[-1] and not wrong:
                here = place[0] if len(place) else "not listed"
                wrong = f"{known.words(at, photos)} there, and {here} here"
    if sum(fits) < LEAST * len(fits) or not fits:
        raise TargetError(
            f"{sum(fits)} of {len(fits)} places in {table} are found again, at least {LEAST:.0%} "
            f"are expected: {wrong or 'it names none within k'}",
            hint="compare size and the way photos become squares (--data FOLDER,fit=squash) with "
            "your own upload; the catalogs must be the same",
        )
    return sum(fits), len(fits)

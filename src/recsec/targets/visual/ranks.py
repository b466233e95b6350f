"""The pre-flight of an encoder of others: the user's own ranks are reproduced, or nothing runs.

A wrong mean, a swapped channel or another crop makes another encoder, whose audit says nothing
about the user's. Their own neighbors tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.data import Photos
from recsec.data.sources.tables import Field, read_table
from recsec.errors import TargetError
from recsec.types import IntArray

__all__ = ["LEAST", "KnownRanks", "check_ranks", "read_ranks"]

TIE = 1e-4
"""Cosines that differ by less may change places: their system rounds otherwise, or decodes
JPEG otherwise."""
LEAST = 0.95
"""Share of the places that has to fit."""


@dataclass(frozen=True)
class KnownRanks:
    """Places that the user's own system gives, ``R`` of them.

    Attributes:
        items: ``(R,)`` rows of the catalog whose neighbors are listed.
        neighbors: ``(R,)`` rows of the neighbors.
        places: ``(R,)``, 1 is nearest, the item itself left out.
    """

    items: IntArray
    neighbors: IntArray
    places: IntArray

    def words(self, at: int, photos: Photos) -> str:
        """One of them, for people."""
        ids = photos.ids
        return f"{ids[self.neighbors[at]]} is neighbor {self.places[at]} of {ids[self.items[at]]}"


def read_ranks(table: Path, photos: Photos) -> KnownRanks:
    """A table with the columns ``item``, ``neighbor`` and ``place``.

    Raises:
        DataError: it is missing or broken, or names an unknown item.
    """
    fields = {"item": Field("id"), "neighbor": Field("id"), "place": Field("whole")}
    known = read_table(table, fields).rows
    rows = [
        photos.rows([photos.parse_id(str(one)) for one in known[name].to_list()])
        for name in ("item", "neighbor")
    ]
    return KnownRanks(rows[0], rows[1], known["place"].to_numpy().copy())


def check_ranks(
    table: Path,
    features: Float[Tensor, "N D"],
    photos: Photos,
    *,
    rows: IntArray | None = None,
) -> None:
    """Compare the places of neighbors with those of the user's own system.

    A place fits if it can be had by reordering neighbors whose cosines differ by less than ``TIE``.

    Args:
        table: columns ``item``, ``neighbor`` and ``place`` (1 is nearest, the item itself left
            out).
        features: of all photos.
        photos: the catalog.
        rows: those that are ranked, increasing; by default all.

    Raises:
        DataError: the table is missing or broken, or names an unknown item.
        TargetError: the places are others.
    """
    known = read_ranks(table, photos)
    mine, theirs, places = (
        torch.from_numpy(one) for one in (known.items, known.neighbors, known.places)
    )
    catalog = torch.arange(len(photos)) if rows is None else torch.from_numpy(rows)
    vectors = F.normalize(features, dim=1)
    cosines = vectors[mine] @ vectors[catalog].T
    cosines[catalog[None, :] == mine[:, None]] = float("-inf")
    own = (vectors[mine] * vectors[theirs]).sum(1)[:, None]
    least, most = (cosines > own + TIE).sum(1) + 1, (cosines > own - TIE).sum(1)
    fits = (places >= least) & (places <= most)
    share = float(fits.double().mean())
    if share < LEAST:
        at = int((~fits).nonzero()[0])
        raise TargetError(
            f"{share:.0%} of the {len(places)} places in {table} are found again, at least "
            f"{LEAST:.0%} are expected: {known.words(at, photos)} there, and {int(least[at])} here",
            hint="compare size, resize, channels, white, mean and std with your own code, and the "
            "way photos become squares (--data FOLDER,fit=squash); the catalogs must be the same",
        )

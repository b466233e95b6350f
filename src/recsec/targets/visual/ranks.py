"""The pre-flight of an encoder of others: the user's own ranks are reproduced, or nothing runs.

A wrong mean, a swapped channel or another crop makes another encoder, whose audit says nothing
about the user's. Their own neighbors tell.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.data import Photos
from recsec.data.sources.tables import Field, read_table
from recsec.errors import TargetError
from recsec.types import IntArray

__all__ = ["check_ranks"]

TIE = 1e-4
"""Cosines that differ by less may change places: their system rounds otherwise, or decodes
JPEG otherwise."""
LEAST = 0.95
"""Share of the places that has to fit."""


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
    fields = {"item": Field("id"), "neighbor": Field("id"), "place": Field("whole")}
    known = read_table(table, fields).rows.with_columns(pl.col("item", "neighbor").cast(pl.String))
    mine, theirs = (
        torch.from_numpy(photos.rows([photos.parse_id(one) for one in known[name].to_list()]))
        for name in ("item", "neighbor")
    )
    places = torch.from_numpy(known["place"].to_numpy().copy())
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
        line = known.row(at, named=True)
        raise TargetError(
            f"{share:.0%} of the {len(known)} places in {table} are found again, at least "
            f"{LEAST:.0%} are expected: {line['neighbor']} is neighbor {line['place']} of "
            f"{line['item']} there, and {int(least[at])} here",
            hint="compare size, resize, channels, white, mean and std with your own code, and the "
            "way photos become squares (--data FOLDER,fit=squash); the catalogs must be the same",
        )

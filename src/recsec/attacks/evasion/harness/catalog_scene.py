"""From a catalog of photos and an encoder to what an attack needs."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.evasion.harness.evade import Scene
from recsec.attacks.evasion.harness.pairs import Pairs
from recsec.data import Photos
from recsec.errors import DataError
from recsec.models import ExactIndex, PhotoEncoder
from recsec.types import IntArray, Progress

__all__ = ["catalog_scene"]


def catalog_scene(
    encoder: PhotoEncoder,
    photos: Photos,
    rows: IntArray,
    pairs: Pairs,
    features: Float[Tensor, "N D"],
    *,
    size: int | None = None,
    progress: Progress | None = None,
) -> Scene:
    """Pairs of photos, seen by an encoder among the photos ``rows``.

    Args:
        encoder: the attacked model; it is put into evaluation mode.
        photos: the catalog.
        rows: ``(M,)`` increasing rows of ``photos`` that are ranked.
        pairs: rows of ``photos``; both photos of a pair have to be among ``rows``.
        features: of all photos (``catalog_features``).
        size: side of the attacked photos in pixels; by default what the encoder sees. Larger ones
            are resized inside the gradient.
        progress: is told about photos that are decoded.

    Raises:
        DataError: a photo of a pair is not among ``rows``.
    """
    encoder.eval()
    side = encoder.size if size is None else size

    def positions(wanted: IntArray) -> IntArray:
        place = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
        missing = wanted[rows[place] != wanted]
        if len(missing):
            raise DataError(
                f"item {photos.ids[missing[0]]} is not among the {len(rows):,} photos that are "
                "ranked: its category has too few"
            )
        return place.astype(np.int64)

    vectors = F.normalize(features[torch.from_numpy(rows)], dim=1).to(encoder.device)
    return Scene(
        embedder=encoder,
        index=ExactIndex(vectors),
        pairs=Pairs(positions(pairs.attackers), positions(pairs.targets), pairs.policy),
        attackers=torch.from_numpy(photos.pixels(pairs.attackers, side, progress=progress)),
        targets=torch.from_numpy(photos.pixels(pairs.targets, side, progress=progress)),
    )

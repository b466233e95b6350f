"""What is searched: the photos of a catalog, their vectors, and the screens of uploads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recsec.data import Photos, PhotoSplit
from recsec.models import ExactIndex, PhotoEncoder
from recsec.rng import Streams
from recsec.screening import (
    Catalog,
    Panel,
    Screen,
    Uploads,
    clean_uploads,
    searched_with,
    uploads_of,
)

__all__ = ["Shop", "Verdict"]


@dataclass(frozen=True)
class Verdict:
    """What the screens say about a photo.

    Attributes:
        scores: by screen, and of the panel.
        limits: by rate, the panel's threshold.
        fitted_on: clean uploads behind the thresholds.
    """

    scores: dict[str, float]
    limits: dict[float, float]
    fitted_on: int

    def flagged(self, rate: float) -> bool:
        """Whether the panel flags it at a false-positive rate."""
        return self.scores["panel"] > self.limits[rate]


@dataclass(frozen=True, eq=False, repr=False)
class Shop:
    """Photos, the encoder that compares them, and what uploads are screened by.

    Attributes:
        split: the photos.
        encoder: frozen.
        index: their vectors.
        catalog: what screens know of them.
        listed: screens of an upload that names its listing.
        unlisted: screens of one that does not: those that need none.
    """

    split: PhotoSplit
    encoder: PhotoEncoder
    index: ExactIndex
    catalog: Catalog
    listed: Panel
    unlisted: Panel

    @classmethod
    def fit(
        cls,
        encoder: PhotoEncoder,
        split: PhotoSplit,
        catalog: Catalog,
        screens: Sequence[Screen],
        *,
        rng: Streams,
    ) -> Self:
        """Fit thresholds as ``recsec screen`` does.

        Raises:
            DataError: too few photos are held out.
        """
        clean, _ = clean_uploads(encoder, split, rng=rng)
        listed = Panel.fit(screens, clean, catalog)
        unlisted = Panel.fit([one for one in screens if not one.listed], clean, catalog)
        return cls(split, encoder, ExactIndex(catalog.vectors), catalog, listed, unlisted)

    def __repr__(self) -> str:
        return f"Shop({self.photos.name}, {len(self.photos)} photos)"

    @property
    def photos(self) -> Photos:
        """The catalog."""
        return self.split.photos

    @torch.no_grad()
    def looked_at(
        self, pixels: npt.NDArray[np.uint8], listing: int | None
    ) -> tuple[Tensor, Verdict]:
        """The vector ``(D,)`` of a photo ``(3, S, S)``, and what the screens say about it."""
        if listing is None:
            uploads, panel = searched_with(self.encoder, pixels[np.newaxis]), self.unlisted
        else:
            row = np.array([listing], dtype=np.int64)
            uploads = uploads_of(self.encoder, self.split, pixels[np.newaxis], row)
            panel = self.listed
        return uploads.embeddings[0], self._verdict(panel, uploads)

    def _verdict(self, panel: Panel, uploads: Uploads) -> Verdict:
        scores = panel.scores(uploads, self.catalog)[0].tolist()
        limits = {rate: float(values[-1]) for rate, values in panel.limits.items()}
        return Verdict(dict(zip(panel.names, scores, strict=True)), limits, panel.fitted_on)

    @torch.no_grad()
    def nearest(self, vector: Tensor, k: int, without: int | None) -> tuple[list[int], list[float]]:
        """Rows and cosines of the ``k`` photos nearest to a vector ``(D,)``.

        Args:
            vector: of unit norm.
            k: how many.
            without: a row that is left out.
        """
        left_out = torch.tensor([-1 if without is None else without], device=vector.device)
        rows, cosines = self.index.neighbors(vector[None], k, exclude=left_out)
        kept = rows[0] >= 0
        return rows[0][kept].tolist(), cosines[0][kept].tolist()

    def ids(self, rows: Sequence[int]) -> list[Any]:
        """External ids."""
        found: list[Any] = self.photos.table["id"][list(rows)].to_list() if rows else []
        return found

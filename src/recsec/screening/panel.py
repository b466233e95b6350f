"""All screens together: thresholds from clean uploads, one decision with one false-positive rate.

Each screen's score is put on a common scale: 0 at the median of clean uploads, 1 at their 99th
percentile. The panel's score is the largest of them, and its threshold is fitted like any other, so
that asking several screens does not multiply the false alarms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from jaxtyping import Float
from torch import Tensor

from recsec.errors import DataError
from recsec.models import PhotoEncoder
from recsec.rng import Streams
from recsec.screening.base import Catalog, Screen, Uploads
from recsec.screening.uploads import reencoded, uploads_of
from recsec.stats import Estimate, clopper_pearson

if TYPE_CHECKING:
    from recsec.data import PhotoSplit

__all__ = ["RATES", "Panel", "clean_uploads", "fit_panel", "needed", "threshold"]

RATES = (0.01, 0.001)
"""False-positive rates that thresholds are fitted for."""
SMALLEST = 1e-6


def threshold(scores: Float[Tensor, " N"], rate: float) -> float:
    """The value that at most ``floor(rate * N)`` clean scores exceed; an upload is flagged above.

    >>> threshold(torch.arange(1000.0), 0.01)
    989.0

    Raises:
        DataError: there are no scores.
    """
    if len(scores) == 0:
        raise DataError("no clean upload to fit a threshold on")
    allowed = min(math.floor(rate * len(scores)), len(scores) - 1)
    return float(scores.sort(descending=True).values[allowed])


def needed(rate: float) -> int:
    """Clean uploads without any false alarm that put the 95 % interval of the rate below ``rate``.

    >>> needed(0.01), needed(0.001)
    (368, 3688)
    """
    return math.ceil(math.log(0.025) / math.log1p(-rate))


@dataclass(frozen=True)
class Panel:
    """Screens with what was fitted on clean uploads.

    Attributes:
        screens: in the order of the columns.
        middle: ``(S,)`` median clean score of each.
        scale: ``(S,)`` distance from there to the 99th percentile.
        limits: per rate ``(S + 1,)`` thresholds: of each screen, then of the panel.
        fitted_on: how many clean uploads.
    """

    screens: tuple[Screen, ...]
    middle: Float[Tensor, " S"]
    scale: Float[Tensor, " S"]
    limits: dict[float, Tensor]
    fitted_on: int

    @classmethod
    def fit(cls, screens: Sequence[Screen], clean: Uploads, catalog: Catalog) -> Self:
        """Thresholds from clean uploads."""
        scores = torch.stack([screen.score(clean, catalog) for screen in screens], dim=1)
        middle = scores.median(dim=0).values
        high = torch.tensor([threshold(column, 0.01) for column in scores.T], device=middle.device)
        scale = (high - middle).clamp(min=SMALLEST)
        both = torch.cat([scores, _together(scores, middle, scale)[:, None]], dim=1)
        limits = {
            rate: torch.tensor([threshold(column, rate) for column in both.T], device=middle.device)
            for rate in RATES
        }
        return cls(tuple(screens), middle, scale, limits, len(scores))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of ``scores``."""
        return (*(screen.name for screen in self.screens), "panel")

    def scores(self, uploads: Uploads, catalog: Catalog) -> Float[Tensor, "B S1"]:
        """Each screen's score, then the panel's; differentiable in the looks of the uploads."""
        found = torch.stack([screen.score(uploads, catalog) for screen in self.screens], dim=1)
        return torch.cat([found, _together(found, self.middle, self.scale)[:, None]], dim=1)

    def false_alarms(self, clean: Uploads, catalog: Catalog) -> dict[float, dict[str, Estimate]]:
        """Per rate and column: the share of clean uploads flagged, with its Clopper-Pearson
        interval. The uploads must not be those that were fitted on.
        """
        scores = self.scores(clean, catalog)
        return {
            rate: {
                name: clopper_pearson(int(flagged.sum()), len(flagged))
                for name, flagged in zip(self.names, (scores > limit).T, strict=True)
            }
            for rate, limit in self.limits.items()
        }


def _together(scores: Tensor, middle: Tensor, scale: Tensor) -> Tensor:
    """The largest score on the common scale."""
    return ((scores - middle) / scale).amax(dim=1)


def fit_panel(
    encoder: PhotoEncoder,
    split: PhotoSplit,
    catalog: Catalog,
    screens: Sequence[Screen],
    *,
    rng: Streams,
) -> tuple[Panel, Uploads]:
    """A panel fitted on half of the held-out photos, and the clean uploads of the other half.

    Clean uploads are re-encoded copies of held-out photos, see ``uploads.reencoded``.

    Raises:
        DataError: fewer than two photos are held out.
    """
    fitted, other = clean_uploads(encoder, split, rng=rng)
    return Panel.fit(screens, fitted, catalog), other


def clean_uploads(
    encoder: PhotoEncoder, split: PhotoSplit, *, rng: Streams
) -> tuple[Uploads, Uploads]:
    """Clean uploads of two halves of the held-out photos: to fit on, and to measure with.

    Raises:
        DataError: fewer than two photos are held out.
    """
    if len(split.test) < 2:
        raise DataError(f"{len(split.test)} held-out photos: too few to fit thresholds on")
    rows = rng.numpy("halves").permutation(split.test)
    pixels = reencoded(split.photos.pixels(rows, encoder.size), rng.numpy("uploads"))
    half = len(rows) // 2
    fitted = uploads_of(encoder, split, pixels[:half], rows[:half])
    return fitted, uploads_of(encoder, split, pixels[half:], rows[half:])

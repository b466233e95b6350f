"""Attack a few validation photos after each epoch: is the encoder really getting harder to move?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsec.attacks.evasion import ascend
from recsec.hardening.visual.losses import toward
from recsec.metrics.retrieval import precision
from recsec.models import Encoder, ExactIndex, frozen_copy
from recsec.models.visual.embedding import embed
from recsec.types import IntArray

if TYPE_CHECKING:
    from recsec.data.photos.split import PhotoSplit

__all__ = ["Probe", "step_size"]

PHOTOS = 256
CATALOG = 2048
STEPS = 10
REACH = 2.5
"""An inner attack can walk this many radii, so that it reaches the border from any start."""


def step_size(eps: float, steps: int) -> float:
    """2.5 radii in all; a single step goes 1.25.

    Source: Madry et al. (ICLR 2018) for several steps, Wong et al. (ICLR 2020) for one.
    """
    return 1.25 * eps if steps == 1 else REACH * eps / steps


@dataclass(frozen=True)
class Probe:
    """At most 256 evenly spaced validation photos and a frozen encoder to attack with them.

    Start and targets follow from the photos alone, so the numbers of epochs can be compared.

    Attributes:
        frozen: a copy, float32.
        split: the photos.
        rows: of the validation photos.
        images: the same as ``(B, 3, S, S)`` float32 in [0, 1], where the encoder is.
    """

    frozen: Encoder
    split: PhotoSplit
    rows: IntArray
    images: Float[Tensor, "B 3 S S"]

    @classmethod
    def of(cls, encoder: Encoder, split: PhotoSplit) -> Self:
        """The probe of an encoder as it is now."""
        rows = _spaced(split.validation, PHOTOS)
        pixels = split.photos.pixels(rows, encoder.size)
        images = torch.from_numpy(pixels).to(encoder.device).float().div_(255)
        return cls(frozen_copy(encoder), split, rows, images)

    def attacked(
        self, loss: Callable[[Tensor], Tensor], *, eps: float, steps: int = STEPS
    ) -> Float[Tensor, "B 3 S S"]:
        """The photos where ``loss`` is higher."""
        start = torch.Generator(device=self.images.device).manual_seed(0)
        size = step_size(eps, steps)
        return ascend(loss, self.images, eps=eps, steps=steps, step_size=size, rng=start)

    def precision(self, *, eps: float) -> float:
        """Precision@10 among training photos (at most 2,048, evenly spaced), each photo attacked
        toward its nearest one of another category.
        """
        split, place = self.split, self.images.device
        catalog = _spaced(split.train, CATALOG)
        every = torch.from_numpy(split.labels)
        labels = every[torch.from_numpy(self.rows)]
        known = every[torch.from_numpy(catalog)]
        index = ExactIndex(embed(self.frozen, split.photos, catalog))
        with torch.no_grad():
            own = self.frozen(self.images).cpu()
        cosines = (own @ index.vectors.T).masked_fill(labels[:, None] == known[None, :], -2.0)
        targets = index.vectors[cosines.argmax(dim=1)].to(place)
        own = own.to(place)
        attacked = self.attacked(lambda x: toward(self.frozen(x), own, targets), eps=eps)
        with torch.no_grad():
            vectors = self.frozen(attacked).cpu()
        found, _ = index.neighbors(vectors, min(10, len(index)))
        return float(precision(labels, known[found], found.shape[1]).mean())

    def accuracy(self, loss: Callable[[Tensor], Tensor], *, eps: float, steps: int) -> float:
        """Share of the photos whose category is found after ``steps`` steps up ``loss``."""
        images = self.attacked(loss, eps=eps, steps=steps) if steps else self.images
        with torch.no_grad():
            said = self.frozen.classify(images).category.argmax(dim=1).cpu()
        labels = torch.from_numpy(self.split.labels)[torch.from_numpy(self.rows)]
        return float((said == labels).double().mean())


def _spaced(rows: IntArray, count: int) -> IntArray:
    """At most ``count`` rows, evenly spaced."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), count)).astype(np.int64))]

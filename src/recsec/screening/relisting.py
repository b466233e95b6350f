"""A new photo that shows nothing new, and an embedding that moved all the same."""

from __future__ import annotations

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recsec.models import ModelConfig
from recsec.screening.base import Catalog, Screen, Uploads, cosine_shift

__all__ = ["Relisting", "RelistingConfig"]


class RelistingConfig(ModelConfig):
    """Settings of the re-listing delta."""

    same: float = Field(
        0.1, gt=0, le=1, description="mean pixel change up to which the photos look the same"
    )


class Relisting(Screen):
    """How far the embedding moved although the photo is nearly the one it replaces.

    A photo that differs in more than ``same`` is a new photo; of such an upload this screen has
    nothing to say, and its score is 0.
    """

    name = "relisting"
    config_class = RelistingConfig
    config: RelistingConfig

    def score(self, uploads: Uploads, catalog: Catalog) -> Float[Tensor, " B"]:
        """One minus the cosine between the new and the listed embedding."""
        moved = cosine_shift(uploads.embeddings, catalog.vectors[uploads.listings])
        change = (uploads.images - uploads.previous).detach().abs().mean(dim=(1, 2, 3))
        return torch.where(change <= self.config.same, moved, torch.zeros_like(moved))

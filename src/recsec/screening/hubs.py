"""Photos that appear in unusually many lists."""

from __future__ import annotations

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recsec.models import ModelConfig
from recsec.screening.base import Catalog, Screen, Uploads, own

__all__ = ["Hubs", "HubsConfig", "robust_z"]

SPREAD = 1.4826
"""The median absolute deviation of a normal distribution times this is its standard deviation."""
BLOCK = 65_536
"""Photos of the catalog that are compared at a time."""
LEAST_SPREAD = 1.0
"""In lists: where most photos are in the same number of lists the MAD is 0."""


class HubsConfig(ModelConfig):
    """Settings of the hub scan."""

    softness: float = Field(
        0.005, gt=0, description="cosine over which entering a list counts partly"
    )


def robust_z(values: Float[Tensor, " B"], reference: Float[Tensor, " N"]) -> Float[Tensor, " B"]:
    """How many robust standard deviations ``values`` lie above the median of ``reference``.

    Source: Iglewicz & Hoaglin, How to Detect and Handle Outliers (1993), by median and MAD.
    """
    middle = reference.median()
    spread = SPREAD * (reference - middle).abs().median()
    return (values - middle) / spread.clamp(min=LEAST_SPREAD)


class Hubs(Screen):
    """In how many lists the photo would be, as a robust z-score among the photos served now.

    One image made to enter many lists stands out; one made to enter a single list doesn't.
    """

    name = "hubs"
    config_class = HubsConfig
    listed = False
    config: HubsConfig

    def score(self, uploads: Uploads, catalog: Catalog) -> Float[Tensor, " B"]:
        """The z-score by median and MAD; entering counts from 0 to 1 within ``softness``."""
        count = len(catalog.vectors)
        lists = uploads.embeddings.new_zeros(len(uploads.embeddings))
        for start in range(0, count, BLOCK):
            part = slice(start, start + BLOCK)
            over = uploads.embeddings @ catalog.vectors[part].T - catalog.entry[part]
            entered = torch.sigmoid(over / self.config.softness)
            left_out = own(uploads.listings - start, len(catalog.vectors[part]))
            lists += entered.masked_fill(left_out, 0.0).sum(dim=1)
        return robust_z(lists, catalog.degrees)

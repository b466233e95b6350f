"""Do the neighbors of the photo belong to the category that its listing declares?"""

from __future__ import annotations

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recsec.models import ModelConfig
from recsec.screening.base import Catalog, Screen, Uploads, own

__all__ = ["Neighbors", "NeighborsConfig"]


class NeighborsConfig(ModelConfig):
    """Settings of the disagreement between label and neighbors."""

    k: int = Field(10, gt=0, description="neighbors on each side")


class Neighbors(Screen):
    """How much nearer the photo is to other categories than to the one its listing declares.

    The mean cosine to the k nearest photos of other categories minus that to the k nearest of its
    own, itself excluded: below 0 for a photo amid its category. An attack on an item of the same
    category passes by construction.
    """

    name = "neighbors"
    config_class = NeighborsConfig
    config: NeighborsConfig

    def score(self, uploads: Uploads, catalog: Catalog) -> Float[Tensor, " B"]:
        """From -2 to 2. A listing without a known category scores -2: there is nothing to check."""
        count = len(catalog.vectors)
        cosines = uploads.embeddings @ catalog.vectors.T
        labels = catalog.labels[uploads.listings]
        same = labels[:, None] == catalog.labels[None, :]
        left_out = own(uploads.listings, count)
        k = min(self.config.k, count)
        other = cosines.masked_fill(same | left_out, -1.0).topk(k, dim=1).values.mean(dim=1)
        near = cosines.masked_fill(~same | left_out, -1.0).topk(k, dim=1).values.mean(dim=1)
        return (other - near).masked_fill(labels < 0, -2.0)

"""Does the embedding survive changes that a person does not see?"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from recsec.models import ModelConfig
from recsec.screening.base import Catalog, Screen, Uploads, cosine_shift

__all__ = ["Consistency", "ConsistencyConfig"]


class ConsistencyConfig(ModelConfig):
    """It has no settings."""


class Consistency(Screen):
    """How far squeezing the photo (4 bits, median, blur, JPEG) moves its embedding at most.

    A perturbation that was fitted to the pixels tends not to survive; one that was fitted to the
    squeezed copies as well does. Source: Xu et al., Feature Squeezing (NDSS 2018), with one minus
    the cosine in place of the distance of predictions.
    """

    name = "consistency"
    config_class = ConsistencyConfig
    listed = False

    def score(self, uploads: Uploads, catalog: Catalog) -> Float[Tensor, " B"]:
        """The largest of one minus the cosine between the photo and its squeezed copies."""
        return cosine_shift(uploads.looks[:, 1:], uploads.looks[:, :1]).amax(dim=1)

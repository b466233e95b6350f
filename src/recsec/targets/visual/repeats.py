"""The pre-flight of an encoder of others: it looks at the photo, and repeats itself."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsec.data import Photos
from recsec.errors import TargetError
from recsec.models import PhotoEncoder

__all__ = ["check_vectors"]

ASKED = 2
"""Photos that are embedded again."""
SHORTEST = 1e-10
"""Length of a vector below which its direction is rounding."""
STEADY = 1e-3
"""Share of a vector's length by which it may differ: rounding depends on the batch."""


@torch.no_grad()
def check_vectors(
    encoder: PhotoEncoder, features: Float[Tensor, "N D"], photos: Photos, *, whose: str
) -> float:
    """Embed the first photos again, alone, and compare.

    Args:
        encoder: in evaluation mode.
        features: of all photos, or of the first ones.
        photos: the catalog.
        whose: how errors call the encoder.

    Returns:
        The largest distance to the vectors in ``features``, as a share of their length.

    Raises:
        TargetError: all photos have one vector, one has none to speak of, or a photo gets another
            one each time.
    """
    if len(features) > 1 and bool((features == features[:1]).all()):
        raise TargetError(
            f"{whose} gives one vector to all {len(features):,} photos: it does not look at them",
            hint="check size, white, mean and std: photos may arrive all black or all white",
        )
    lengths = features.norm(dim=1)
    short = int((lengths < SHORTEST).sum())
    if short:
        raise TargetError(
            f"{whose} gives {short:,} of {len(features):,} photos a vector of no length: cosines "
            "with it mean nothing",
            hint="check its weights, and size, white, mean and std",
        )
    wanted = features[:ASKED]
    pixels = photos.pixels(np.arange(len(wanted)), encoder.size)
    images = torch.from_numpy(np.array(pixels)).to(encoder.device).float().div_(255)
    again = torch.cat([encoder.features(one[None]) for one in images]).to(wanted.device)
    gap = float(((again - wanted).norm(dim=1) / lengths[:ASKED]).max())
    if not gap <= STEADY:
        raise TargetError(
            f"{whose} gives the same photo another vector when it is asked again or alone (it "
            f"differs by {gap:.1e} of its length): ranks would be noise",
            hint="switch off dropout and batch statistics: model.eval()",
        )
    return gap

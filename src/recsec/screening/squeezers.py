"""Copies of a photo that look the same to a person: fewer gray levels, median, blur, JPEG.

Each returns images of the same shape with a gradient: where the true one is zero or does not
exist (rounding, JPEG) the identity stands for it, which is how an attacker passes such steps
(BPDA, Athalye et al., ICML 2018).
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["SQUEEZERS", "blurred", "few_levels", "jpeg", "median"]

JPEG_QUALITY = 75


def _straight_through(images: Tensor, changed: Tensor) -> Tensor:
    """The values of ``changed`` with the gradient of ``images``."""
    return images + (changed - images).detach()


def few_levels(images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Rounded to 4 bits a channel. Source: Xu et al., Feature Squeezing (NDSS 2018)."""
    return _straight_through(images, (images * 15).round() / 15)


def median(images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """The median of each 3 x 3 neighborhood, border pixels repeated."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    patches = F.unfold(padded, 3).view(len(images), 3, 9, -1)
    return patches.median(dim=2).values.view(images.shape)


def blurred(images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Binomial blur with the weights 1, 2, 1 in both directions."""
    line = images.new_tensor([1.0, 2.0, 1.0]) / 4
    weights = (line[:, None] * line[None, :]).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), weights, groups=3)


def jpeg(images: Float[Tensor, "B 3 H W"], quality: int = JPEG_QUALITY) -> Float[Tensor, "B 3 H W"]:
    """Written as JPEG and read again."""
    pixels = images.detach().mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    back = np.empty_like(pixels)
    for at, image in enumerate(pixels):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        back[at] = np.asarray(Image.open(file))
    read = torch.from_numpy(back).to(images.device).permute(0, 3, 1, 2).to(images.dtype) / 255
    return _straight_through(images, read)


SQUEEZERS: dict[str, Callable[[Tensor], Tensor]] = {
    "4-bit": few_levels,
    "median": median,
    "blur": blurred,
    "jpeg": jpeg,
}
"""By name, in the order of ``Uploads.looks`` after the photo itself."""

"""The L-infinity ball around photos, and the 8-bit images inside it.

Pixels live in [0, 1]; a stored photo holds multiples of 1/255. An image file can therefore use no
more than ``floor(255 * eps) / 255`` of a budget ``eps``: the effective eps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recsec.errors import ConfigError

__all__ = ["Ball", "effective_eps", "levels", "quantize", "to_bytes"]

SLACK = 1e-6
"""255 * 0.2 is 51, whatever floating point says."""


def check_eps(eps: float) -> None:
    """Refuse what is no share of the pixel range.

    Raises:
        ConfigError: ``eps`` is not in [0, 1].
    """
    if not 0 <= eps <= 1:  # also refuses NaN
        raise ConfigError(
            f"eps = {eps!r}: expected a number from 0 to 1, the share of the pixel range",
            hint="8 of 255 gray levels are --eps 0.0314",
        )


def levels(eps: float) -> int:
    """How many of the 255 gray levels a budget allows: ``floor(255 * eps)``.

    >>> levels(0.03), levels(0.05), levels(0.2)
    (7, 12, 51)

    Raises:
        ConfigError: ``eps`` is not in [0, 1].
    """
    check_eps(eps)
    return math.floor(255 * eps + SLACK)


def effective_eps(eps: float) -> float:
    """The part of a budget that an 8-bit image can use: ``floor(255 * eps) / 255``."""
    return levels(eps) / 255


def quantize(images: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Round to the nearest multiple of 1/255. Any shape, float, pixels in [0, 1]."""
    return images.mul(255).round_().div_(255)


def to_bytes(images: Float[Tensor, "*B"]) -> UInt8[Tensor, "*B"]:
    """The same as stored pixels, uint8."""
    return images.mul(255).round_().to(torch.uint8)


@dataclass(frozen=True)
class Ball:
    """All images within ``eps`` of given ones, clipped to the pixel range.

    Attributes:
        low: ``(B, C, H, W)`` float32, smallest value of each pixel.
        high: the largest.
    """

    low: Float[Tensor, "B C H W"]
    high: Float[Tensor, "B C H W"]

    @classmethod
    def around(cls, images: Float[Tensor, "B C H W"], eps: float, *, grid: bool = True) -> Self:
        """The ball around ``images``.

        Args:
            images: centers, pixels in [0, 1].
            eps: radius.
            grid: only what an 8-bit file can hold counts: the bounds are multiples of 1/255, and
                the radius is the effective eps. The centers have to be 8-bit images themselves.

        Raises:
            ConfigError: ``eps`` is not in [0, 1].
        """
        check_eps(eps)
        if not grid:
            return cls((images - eps).clamp_(min=0), (images + eps).clamp_(max=1))
        center = images.mul(255).round_()
        room = levels(eps)
        return cls(
            (center - room).clamp_(min=0).div_(255), (center + room).clamp_(max=255).div_(255)
        )

    def project(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The nearest images of the ball, in place."""
        return torch.clamp(images, self.low, self.high, out=images)

    def round(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The 8-bit images of the ball nearest to ``images``; a new tensor.

        Values that round out of the ball are rounded toward its center instead.
        """
        return quantize(torch.clamp(images, self.low, self.high)).clamp_(self.low, self.high)

    def select(self, rows: Tensor) -> Ball:
        """The balls of some rows."""
        return Ball(self.low[rows], self.high[rows])

"""What an encoder of others wants to see: size, channel order, range, normalization, crop, layout.

Wrong normalization makes another encoder, and an audit of it says nothing; so what is not stated is
shown, and ranks of the user's own system can be checked against it (``ranks``).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["Recipe"]

Three: TypeAlias = tuple[float, float, float]


class Recipe(BaseModel):
    """How a photo is made ready: RGB pixels in [0, 1] become what the network takes.

    Photos come as squares of ``side`` pixels; how a photo becomes a square is a matter of the data
    (``--data FOLDER,fit=squash``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size: int = Field(default=224, ge=8, le=2048, description="side that the network takes")
    resize: int | None = Field(
        default=None, ge=8, le=4096, description="side whose middle is cut out; null: no cut"
    )
    channels: Literal["rgb", "bgr"] = Field(default="rgb", description="their order")
    white: Literal[1, 255] = Field(default=1, description="the value of a white pixel")
    mean: Three = Field(default=(0.0, 0.0, 0.0), description="subtracted from each channel")
    std: Three = Field(default=(1.0, 1.0, 1.0), description="what each channel is divided by")
    layout: Literal["nchw", "nhwc"] = Field(default="nchw", description="of the axes")

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize {self.resize} is smaller than size {self.size}")
        if min(map(abs, self.std)) == 0:
            raise ValueError("std must not be 0")
        return self

    @property
    def side(self) -> int:
        """Side of the squares that it takes, in pixels."""
        return self.resize or self.size

    def __str__(self) -> str:
        """For people: what is done to a photo."""
        cut = "" if self.resize is None else f", the middle of {self.resize} px"
        mean, std = (" ".join(f"{one:g}" for one in part) for part in (self.mean, self.std))
        return (
            f"{self.size} px{cut}, {self.channels}, 0 to {self.white}, mean {mean}, std {std}, "
            f"{self.layout}"
        )

    def __call__(self, images: Float[Tensor, "B 3 H W"]) -> Tensor:
        """What the network is shown; gradients reach the pixels.

        Images of another side are resized (bilinear, antialiased) first.
        """
        side, cut = self.side, (self.side - self.size) // 2
        if images.shape[-2:] != (side, side):
            images = F.interpolate(
                images, (side, side), mode="bilinear", antialias=True, align_corners=False
            )
        if cut or side != self.size:
            images = images[..., cut : cut + self.size, cut : cut + self.size]
        if self.channels == "bgr":
            images = images.flip(1)
        if self.white != 1:
            images = images * self.white
        if any(self.mean) or any(one != 1 for one in self.std):
            mean, std = (images.new_tensor(one)[:, None, None] for one in (self.mean, self.std))
            images = (images - mean) / std
        return images if self.layout == "nchw" else images.permute(0, 2, 3, 1)

    def stored(self, images: Float[Tensor, "B 3 H W"]) -> npt.NDArray[np.uint8]:
        """The same photos as stored pixels: ``(B, S, S, 3)`` uint8, without mean and std.

        Images that are no 8-bit images are rounded to the nearest.
        """
        plain = Recipe(size=self.size, resize=self.resize, channels=self.channels)
        shown = plain(images).mul(255).round_().clamp_(0, 255).to(torch.uint8)
        return np.ascontiguousarray(shown.permute(0, 2, 3, 1).cpu().numpy())

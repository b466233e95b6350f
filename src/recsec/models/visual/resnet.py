"""A conventional small ResNet as an encoder: another network and recipe, the same checkpoint."""

from __future__ import annotations

from pydantic import Field

from recsec.models.visual.encoder import Encoder, EncoderConfig

__all__ = ["Resnet", "ResnetConfig"]


class ResnetConfig(EncoderConfig):
    """Settings of a ResNet."""

    backbone: str = Field("resnet", description="the network")
    widths: tuple[int, ...] = Field(
        (32, 64, 128, 256), description="channels of each residual stage"
    )
    attribute_weight: float = Field(0.0, ge=0, description="weight of the attribute loss")
    label_smoothing: float = Field(0.05, ge=0, lt=1, description="of the category loss")
    shift: int = Field(0, ge=0, description="largest shift of a training image, in pixels")
    epochs: int = Field(8, ge=0, description="length of the cosine schedule")
    batch_size: int = Field(64, gt=0, description="images per step")
    lr: float = Field(2e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(5e-4, ge=0)


class Resnet(Encoder):
    """An encoder whose first stage keeps the grid of 32 x 32 and whose shortcuts stride.

    What it makes is an ``encoder`` checkpoint like any other.

    Source: He et al., Deep Residual Learning (2016), as small networks are commonly built.
    """

    config_class = ResnetConfig

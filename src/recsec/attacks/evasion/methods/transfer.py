"""Transfer: perturb against surrogates that the attacker owns, and hope."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.evasion.base import Access, EvasionConfig
from recsec.attacks.evasion.methods.gradient import MomentumPgd, State
from recsec.errors import ConfigError
from recsec.rng import Streams
from recsec.targets.visual import open_source

__all__ = ["Ensemble", "Transfer", "TransferConfig"]


class TransferConfig(MomentumPgd.Config):
    """Settings of a transfer attack."""

    steps: int = Field(100, ge=1, le=100_000, description="gradients per image and restart")
    surrogates: tuple[str, ...] = Field((), description="checkpoint folders, hf: or torch:")
    diversity: float = Field(
        0.7, ge=0, le=1, description="share of the steps that see a resized image"
    )
    smallest: float = Field(0.8, gt=0, le=1, description="of the resized images, relative")
    blur: int = Field(5, ge=1, description="side of the kernel that smooths gradients; odd")


class Ensemble(nn.Module):
    """Several embedders as one: the cosine of the whole is the mean of the members' cosines.

    Args:
        members: modules ``(B, C, H, W) -> (B, D_i)`` of unit length.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise ConfigError("an ensemble needs at least one surrogate")
        self.members = nn.ModuleList(members)

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
        """Unit vectors of width ``sum(D_i)``."""
        parts = [member(images).float() for member in self.members]
        return torch.cat(parts, dim=1).div(len(parts) ** 0.5)


class Transfer(MomentumPgd):
    """Momentum with input diversity and smoothed gradients, made on surrogates only.

    Each step shows the surrogates a smaller image at a random place of a white canvas, or, one
    time in three, the image itself; gradients are smoothed, so what is learned does not hang on
    exact positions. The attacked model is asked nothing.

    Source: Xie et al., CVPR 2019 (input diversity); Dong et al., CVPR 2019 (smoothed gradients).
    """

    name = "transfer"
    config_class: ClassVar[type[EvasionConfig]] = TransferConfig
    config: TransferConfig

    @property
    def access(self) -> Access:
        """Nothing but what is public."""
        return "ids"

    def ensemble(self, device: torch.device) -> Ensemble:
        """The surrogates that its settings name, on a device.

        Raises:
            ConfigError: none is named, or one shows no gradients.
            CheckpointError, TargetError: one cannot be opened.
        """
        sources = [open_source(one) for one in self.config.surrogates]
        if not sources:
            raise ConfigError(
                "a transfer attack needs surrogates",
                hint="--set 'surrogates=[\"DIR\"]', folders made by recsec train encoder",
            )
        blind = [one.spec for one in sources if not isinstance(one.encoder, nn.Module)]
        if blind:
            raise ConfigError(
                f"the surrogate {blind[0]} is no torch network",
                hint="surrogates are checkpoint folders, hf: or torch:",
            )
        members: list[Any] = [one.encoder for one in sources]
        whole: Ensemble = Ensemble(members).to(device).eval()
        return whole

    def _view(self, point: Tensor, step: int, rng: Streams) -> Tensor:
        draw = rng.child("view").numpy(step)
        if step == self.config.steps or draw.random() >= self.config.diversity:
            return point
        side = point.shape[-1]
        small = int(draw.integers(max(1, round(self.config.smallest * side)), side + 1))
        top, left = (int(one) for one in draw.integers(0, side - small + 1, size=2))
        shrunk = F.interpolate(point, (small, small), mode="bilinear", align_corners=False)
        return F.pad(shrunk, (left, side - small - left, top, side - small - top), value=1.0)

    def _move(self, state: State, gradient: Tensor, step: int) -> None:
        side = self.config.blur
        if side > 1:
            at = torch.arange(side, device=gradient.device) - (side - 1) / 2
            bell = torch.exp(-0.5 * (at / (side / 3)).square())
            kernel = (bell[:, None] * bell / bell.sum().square()).expand(3, 1, side, side)
            gradient = F.conv2d(gradient, kernel.contiguous(), padding="same", groups=3)
        super()._move(state, gradient, step)

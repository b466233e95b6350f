"""The residual networks under an encoder: a compact one, and a conventional one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["ConvNorm", "ResidualBody"]


class ConvNorm(nn.Module):
    """A convolution and its batch norm, which ``fold_norms`` makes one convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        """No activation."""
        out: Tensor = self.norm(self.conv(x))
        return out


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which averages where the size halves, or strides."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, averaged: bool) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride)
        self.second = ConvNorm(outputs, outputs, 3)
        self.pool = stride if averaged else 1
        changed = stride > 1 or inputs != outputs
        self.shortcut: nn.Module = nn.Identity()
        if changed:
            self.shortcut = ConvNorm(inputs, outputs, 1, 1 if averaged else stride)

    def forward(self, x: Tensor) -> Tensor:
        beside = F.avg_pool2d(x, self.pool) if self.pool > 1 else x
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(beside))


class ResidualBody(nn.Module):
    """A convolution, residual blocks, the mean over the image: ``(B, 3, S, S) -> (B, widths[-1])``.

    By default the first convolution and the first block of every stage halve the grid. Large grids
    with few channels are what costs time on a CPU, and an attack pays a forward and a backward pass
    per step, so most of the work is done at a quarter of the side and below.

    Source: He et al., Deep Residual Learning (2016), basic blocks; a conventional network has
    ``kernel=3, keeps=True, averaged=False``.

    Args:
        stem: channels of the first convolution, which halves the grid.
        widths: channels of each stage.
        blocks: residual blocks per stage.
        kernel: side of the first convolution.
        keeps: the first stage keeps the grid.
        averaged: shortcuts average where the grid is halved; else they stride.
    """

    def __init__(
        self,
        stem: int,
        widths: Sequence[int],
        blocks: int,
        *,
        kernel: int = 4,
        keeps: bool = False,
        averaged: bool = True,
    ) -> None:
        super().__init__()
        self.stem = ConvNorm(3, stem, kernel, 2)
        stages: list[nn.Module] = []
        inputs = stem
        for stage, width in enumerate(widths):
            for at in range(blocks):
                halves = at == 0 and not (keeps and stage == 0)
                stages.append(_Block(inputs, width, 2 if halves else 1, averaged=averaged))
                inputs = width
        self.stages = nn.Sequential(*stages)
        self.width = inputs

    def initialize(self, generator: torch.Generator) -> None:
        """Draw all weights anew, as He et al. (2015); each block begins near its shortcut."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu", generator=generator
                )
            if isinstance(module, _Block) and isinstance(module.second.norm, nn.BatchNorm2d):
                nn.init.zeros_(module.second.norm.weight)

    @property
    def norm_pairs(self) -> list[tuple[str, str]]:
        """Names of the convolution and the batch norm of every ``ConvNorm``, for ``fold_norms``."""
        return [
            (f"{name}.conv", f"{name}.norm")
            for name, part in self.named_modules()
            if isinstance(part, ConvNorm)
        ]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Pooled features of images in [0, 1]; normalizes inside, before precision is reduced."""
        x = ((images - 0.5) * 2).to(self.stem.conv.weight.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        pooled: Tensor = self.stages(F.relu(self.stem(x))).mean(dim=(2, 3))
        return pooled

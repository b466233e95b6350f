"""Dropout whose masks come from an explicit generator, eight elements per random number."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Dropout"]


class Dropout(nn.Module):
    """Zeroes a share of the elements while training and scales the rest.

    ``nn.Dropout`` draws from the global generator, one number per element, which is a fifth of a
    training step on a CPU. Here one 63-bit draw decides eight elements by seven bits each, so the
    rate is rounded to 1/128.

    Args:
        rate: share of elements to zero.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.threshold = round(rate * 128)
        self.generator: torch.Generator | None = None

    def extra_repr(self) -> str:
        """The effective rate."""
        return f"rate={self.threshold / 128:.4f}"

    def forward(self, x: Tensor) -> Tensor:
        """``x`` itself when evaluating."""
        if not self.training or self.threshold == 0:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
        draws = words.random_(generator=self.generator).view(torch.uint8)[: x.numel()]
        keep = (draws & 127).view_as(x) >= self.threshold
        return x * keep * (128 / (128 - self.threshold))

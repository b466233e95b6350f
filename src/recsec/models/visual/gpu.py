"""What float32 needs on a GPU: all its bits, and a layout of images that its kernels like."""

from __future__ import annotations

import torch

__all__ = ["layout", "whole_float32"]


def whole_float32() -> None:
    """Let convolutions in float32 keep all bits, in this process: exact ranks hang on them.

    A GPU otherwise rounds their inputs to ten bits (TF32). PyTorch's default for products of
    matrices is that already. On the CPU nothing changes.
    """
    torch.backends.cudnn.allow_tf32 = False


def layout(dtype: torch.dtype, device: torch.device) -> torch.memory_format:
    """How images lie in memory: channels last, but not where a GPU computes in float32.

    cuDNN's depthwise convolutions in float32 are made for the other layout.
    """
    if device.type == "cpu":
        return torch.channels_last
    reduced = dtype != torch.float32 or torch.is_autocast_enabled(device.type)
    return torch.channels_last if reduced else torch.contiguous_format

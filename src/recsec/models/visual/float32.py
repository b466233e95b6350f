"""float32 that is float32: a GPU's convolutions otherwise round their inputs to ten bits (TF32)."""

from __future__ import annotations

import torch

__all__ = ["whole_float32"]


def whole_float32() -> None:
    """Let convolutions in float32 keep all bits, in this process: exact ranks hang on them.

    PyTorch's default for products of matrices is that already. On the CPU nothing changes.
    """
    torch.backends.cudnn.allow_tf32 = False

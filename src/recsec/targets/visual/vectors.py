"""What comes out of somebody's encoder, and what of it is a vector."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recsec.errors import TargetError

__all__ = ["checked", "vectors_of"]

NAMES = ("image_embeds", "pooler_output", "embeddings", "features")
"""Attributes or keys of an output that hold one vector per image, first things first."""


def vectors_of(output: Any, *, whose: str) -> Tensor:
    """The vectors in what a network gave: of an output with names the first of ``NAMES``, of a
    tuple its only member.

    Raises:
        TargetError: there is none.
    """
    if isinstance(output, tuple | list) and len(output) == 1:
        output = output[0]
    for name in NAMES:
        named = output.get(name) if isinstance(output, dict) else getattr(output, name, None)
        if isinstance(named, Tensor):
            output = named
            break
    if not isinstance(output, Tensor):
        raise TargetError(
            f"{whose} gave {type(output).__name__}, expected a tensor (B, D), one vector per image",
            hint="wrap it in a module whose forward returns the vectors",
        )
    return output


def checked(vectors: Tensor, count: int, dim: int | None, *, whose: str) -> Tensor:
    """``(B, D)`` float32 of the right count and width; D is free where ``dim`` is None. Further
    axes of length 1 at the end do not count.

    Raises:
        TargetError: another count or width, no numbers, or some that are not finite.
    """
    shape = tuple(vectors.shape)
    if len(shape) > 2 and all(side == 1 for side in shape[2:]):
        vectors = vectors.flatten(1)
    if vectors.ndim != 2 or len(vectors) != count or vectors.shape[1] == 0:
        raise TargetError(
            f"{whose} answered {count} images with an array of shape {shape}, expected "
            f"({count}, D): one vector per image",
            hint="a map (B, D, H, W) becomes vectors by its mean over H and W",
        )
    if dim is not None and vectors.shape[1] != dim:
        raise TargetError(
            f"{whose} changed the width of its vectors from {dim} to {vectors.shape[1]}",
            hint="an encoder gives every image a vector of the same width",
        )
    if vectors.is_complex():
        raise TargetError(f"{whose} gave complex numbers, expected real ones")
    if not torch.is_grad_enabled() and not bool(torch.isfinite(vectors).all()):
        bad = int((~torch.isfinite(vectors).all(dim=1)).sum())
        raise TargetError(
            f"{whose} gave values that are not finite for {bad} of {count} images",
            hint="check its weights, and whether it divides by the spread of a plain image",
        )
    return vectors.float()

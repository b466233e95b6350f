"""What turns photos into vectors, whoever made it: our encoder, a network of others, a function."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["AnyEncoder", "PhotoEncoder"]


@runtime_checkable
class PhotoEncoder(Protocol):
    """Images ``(B, 3, H, W)`` in [0, 1] to vectors ``(B, D)``; similarity is the cosine.

    ``recsec.models.Encoder`` is one with heads and weights of ours; ``recsec.targets.visual`` opens
    those of others. An image's vector depends on that image only.
    """

    @property
    def size(self) -> int:
        """Side S of the images that it sees, in pixels; others are resized on the way."""

    @property
    def dim(self) -> int:
        """Width D of a vector."""

    @property
    def device(self) -> torch.device:
        """Where images have to be, and vectors are."""

    @property
    def gradients(self) -> bool:
        """Whether gradients of the vector by the pixels can be had."""

    def features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Vectors in float32, before they get unit norm."""

    def __call__(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Unit vectors in float32."""

    def eval(self) -> Self:
        """Evaluation mode."""

    def to(self, device: str) -> Self:
        """Move it; a black box stays where it is."""

    def frozen(self, dtype: torch.dtype = torch.float32) -> Self:
        """A copy for attacks and for embedding, as fast as may be; itself where there is none.

        Args:
            dtype: what the network may compute in while it searches.
        """

    def fingerprint(self) -> str:
        """A hash: equal for equal vectors."""


AnyEncoder = TypeVar("AnyEncoder", bound=PhotoEncoder)

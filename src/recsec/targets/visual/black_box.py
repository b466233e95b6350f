"""An encoder that answers 8-bit images with vectors and shows nothing else: no gradients."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.errors import TargetError
from recsec.targets.visual.recipe import Recipe
from recsec.targets.visual.vectors import checked

__all__ = ["BlackBox"]


class BlackBox:
    """A function of images as an encoder of photos.

    Args:
        function: what makes vectors ``(B, D)`` of what ``show`` makes of B images.
        show: from images ``(B, 3, H, W)`` in [0, 1] to what the function takes.
        recipe: what it wants to see.
        name: how errors call it.
        identity: what its vectors depend on, as far as that is known.

    Raises:
        TargetError: it refuses images, or gives no vectors.
    """

    gradients = False

    def __init__(
        self,
        function: Callable[[Any], Any],
        show: Callable[[Tensor], Any],
        recipe: Recipe,
        *,
        name: str,
        identity: str,
    ) -> None:
        self.function, self.show, self.recipe = function, show, recipe
        self.name, self._identity = name, identity
        self.dim = 0
        ramp = torch.linspace(0, 1, 3 * self.size**2)
        images = torch.stack([ramp, ramp.flip(0)]).view(2, 3, self.size, self.size)
        self.dim = self.features(images).shape[1]

    def __repr__(self) -> str:
        return f"BlackBox({self.name}, {self.recipe})"

    @property
    def size(self) -> int:
        """Side of the photos, in pixels."""
        return self.recipe.side

    @property
    def device(self) -> torch.device:
        """The CPU: where it computes is its own affair."""
        return torch.device("cpu")

    @torch.no_grad()
    def features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Vectors in float32, before they get unit norm.

        Raises:
            TargetError: it failed, or what it gave is not as it should be.
        """
        found = self.function(self.show(images))
        vectors = torch.from_numpy(_numbers(found, self.name))
        return checked(vectors, len(images), self.dim or None, whose=self.name)

    def __call__(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Unit vectors in float32."""
        return F.normalize(self.features(images), dim=1)

    def eval(self) -> Self:
        """It has one mode."""
        return self

    def to(self, device: str) -> Self:
        """It stays where it is; ``device`` is where attacks on others run."""
        del device
        return self

    def frozen(self, dtype: torch.dtype = torch.float32) -> Self:
        """Itself."""
        del dtype
        return self

    def fingerprint(self) -> str:
        """A hash of what its vectors depend on, as far as that is known."""
        return hashlib.sha256(f"{self.recipe}\n{self._identity}".encode()).hexdigest()


def _numbers(found: Any, whose: str) -> npt.NDArray[np.float32]:
    """What a function gave, as an array of its own."""
    if isinstance(found, Tensor):
        found = found.detach().cpu().numpy()
    try:
        return np.array(found, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"{whose} gave {type(found).__name__} that holds no vectors of one width: {error}",
            hint="it takes many images at once and gives an array (B, D) of numbers",
        ) from error

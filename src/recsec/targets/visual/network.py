"""Somebody's torch network as an encoder of photos: white box, gradients reach the pixels."""

from __future__ import annotations

import copy
import hashlib
import warnings
from contextlib import suppress
from typing import Any, Self, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recsec.errors import TargetError
from recsec.models.visual.float32 import whole_float32
from recsec.models.visual.folding import fold_norms, foldable
from recsec.models.visual.memory import keep_freed_memory
from recsec.targets.visual.recipe import Recipe
from recsec.targets.visual.vectors import checked, vectors_of

__all__ = ["NetworkEncoder"]


class NetworkEncoder(nn.Module):
    """A network of others between a recipe and a check of what it gives.

    Args:
        module: images as ``recipe`` makes them to vectors ``(B, D)``; it is put into evaluation
            mode and stays there.
        recipe: what it wants to see.
        name: how errors call it.

    Raises:
        TargetError: it refuses images, or gives no vectors.
    """

    gradients: bool
    """Whether a gradient of the vectors reaches the pixels: a try at the opening tells."""
    shown: Recipe
    """What the network sees in the end, what it does itself included; for people."""

    def __init__(self, module: nn.Module, recipe: Recipe, *, name: str) -> None:
        super().__init__()
        self.module, self.recipe, self.name = module, recipe, name
        self.shown = recipe
        with suppress(NotImplementedError):  # what torch.export made has one mode only
            module.eval()
        self.requires_grad_(False)
        self.training = False
        self.dim = 0
        ramp = torch.linspace(0, 1, 3 * self.size**2, device=self.device)
        images = torch.stack([ramp, ramp.flip(0)]).view(2, 3, self.size, self.size)
        with torch.no_grad():
            self.dim = self.features(images).shape[1]
        self.gradients = self._reaches(images)

    def _reaches(self, images: Tensor) -> bool:
        images = images.clone().requires_grad_()
        with torch.enable_grad(), suppress(TargetError, RuntimeError):
            torch.autograd.grad(self.features(images).sum(), images)
            return True
        return False

    @property
    def size(self) -> int:
        """Side of the photos, in pixels."""
        return self.recipe.side

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        for tensor in (*self.parameters(), *self.buffers()):
            return tensor.device
        return torch.device("cpu")

    def features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Vectors in float32, before they get unit norm.

        Raises:
            TargetError: the network refuses the images, or what it gives is not as it should be.
        """
        shown = self.recipe(images)
        try:
            output: Any = self.module(shown)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the network of others may fail in any way
            raise TargetError(
                f"{self.name} does not take images of shape {tuple(shown.shape)}: "
                f"{type(error).__name__}: {str(error)[:500]}",
                hint="say what it wants to see in a file: size, channels, white, mean, std, layout",
            ) from error
        vectors = vectors_of(output, whose=self.name)
        return checked(vectors, len(images), self.dim or None, whose=self.name)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Unit vectors in float32."""
        return F.normalize(self.features(images), dim=1)

    def train(self, mode: bool = True) -> Self:
        """Nothing: a network of others is never trained here."""
        del mode
        return self

    def frozen(self, dtype: torch.dtype = torch.float32) -> Self:
        """A copy without gradients of weights, its norms folded; it stays in float32."""
        del dtype
        keep_freed_memory()
        whole_float32()
        ramp = torch.linspace(0, 1, 3 * self.size**2, device=self.device)
        pairs = foldable(self, ramp.view(1, 3, self.size, self.size))
        copied = copy.deepcopy(self).requires_grad_(False)
        fold_norms(copied, pairs)
        cast("Any", copied).to(memory_format=torch.channels_last)
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        with warnings.catch_warnings():  # copies of what torch.export made tell of old names in it
            warnings.simplefilter("ignore", FutureWarning)
            copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def fingerprint(self) -> str:
        """A hash of recipe and weights, and of what the network makes of an image."""
        digest = hashlib.sha256(self.recipe.model_dump_json().encode())
        digest.update(self.name.encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().double().contiguous().numpy().tobytes())
        return digest.hexdigest()

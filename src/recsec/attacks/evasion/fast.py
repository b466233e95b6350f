"""A copy of an embedder made for being attacked: frozen, folded, and fast.

The copy is in eval mode, asks for no gradient of its parameters, and has its batch normalizations
folded into the convolutions before them. The attacked model itself is never touched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recsec.errors import ConfigError
from recsec.models import Encoder, Precision
from recsec.models.trainer import resolve_precision
from recsec.models.visual.float32 import strided_in_float32, whole_float32
from recsec.models.visual.folding import folded_copy
from recsec.models.visual.memory import keep_freed_memory

__all__ = ["Prepared", "prepare"]


class Prepared:
    """An embedder in two precisions: one to search with, one to judge with.

    Args:
        exact: ``images -> (B, D)`` in float32.
        search: what bfloat16 searches with; None takes ``exact`` in float32.
        cast: ``search`` computes in bfloat16 by itself; else it runs under autocast.
    """

    def __init__(
        self,
        exact: Callable[[Tensor], Tensor],
        search: nn.Module | None = None,
        *,
        cast: bool = False,
    ) -> None:
        self.exact = exact
        self.search = search
        self.cast = cast

    @property
    def approximate(self) -> bool:
        """Whether ``find`` is less precise than ``judge``."""
        return self.search is not None

    def precise(self) -> Prepared:
        """The same, searching in float32."""
        return Prepared(self.exact)

    def judge(self, images: Float[Tensor, "B C H W"], *, raw: bool = False) -> Float[Tensor, "B D"]:
        """Embeddings, or ``raw`` features before normalization, in float32."""
        return _vectors(self.exact, images, raw=raw)

    def find(self, images: Float[Tensor, "B C H W"], *, raw: bool = False) -> Float[Tensor, "B D"]:
        """The same in the precision of the search, as float32."""
        if self.search is None:
            return self.judge(images, raw=raw)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=not self.cast):
            return _vectors(self.search, images, raw=raw).float()

    __call__ = judge


def _vectors(embedder: Callable[[Tensor], Tensor], images: Tensor, *, raw: bool) -> Tensor:
    count = len(images)
    if images.device.type != "cpu":
        images = _few_sizes(images)
    return _embedded(embedder, images, raw=raw)[:count]


def _few_sizes(images: Tensor) -> Tensor:
    """The images filled up with zeros to a power of two, from 64 on to a multiple of 64.

    cuDNN plans every size of batch anew, and rows that succeed leave an attack one by one.
    """
    count = len(images)
    size = -(-count // 64) * 64 if count > 64 else 1 << max(0, count - 1).bit_length()
    return F.pad(images, (0, 0) * (images.ndim - 1) + (0, size - count))


def _embedded(embedder: Callable[[Tensor], Tensor], images: Tensor, *, raw: bool) -> Tensor:
    features: Callable[[Tensor], Tensor] | None = getattr(embedder, "features", None)
    if raw and features is None:
        raise ConfigError(
            f"{type(embedder).__name__} has no features(images): this objective needs the features "
            "before normalization",
            hint="use the cosine objective",
        )
    if features is None:
        return embedder(images)
    return features(images) if raw else F.normalize(features(images).float(), dim=1)


def prepare(
    embedder: Callable[[Tensor], Tensor],
    images: Float[Tensor, "B C H W"],
    *,
    precision: Precision = "auto",
) -> Prepared:
    """An embedder ready to be attacked; what is prepared already keeps its networks.

    Args:
        embedder: a module or any callable; a callable is taken as it is.
        images: ``(B, C, H, W)``, of the size it will see.
        precision: of the search; "auto" takes bfloat16 where the hardware has it. What was
            prepared for bfloat16 searches in float32 if that is asked for, not the other way round.
    """
    if isinstance(embedder, Prepared):
        return embedder.precise() if precision == "float32" else embedder
    if not isinstance(embedder, nn.Module):
        return Prepared(embedder)
    keep_freed_memory()
    whole_float32()
    exact = folded_copy(embedder, images[:2])
    strided_in_float32(exact)
    exact.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if resolve_precision(precision, images.device) == torch.float32:
        return Prepared(exact)
    if isinstance(embedder, Encoder):  # our own keeps float32 where it matters
        return Prepared(exact, copy.deepcopy(exact).to(torch.bfloat16), cast=True)
    return Prepared(exact, exact)

"""A copy of an embedder made for being attacked: frozen, folded, and fast.

The copy is in eval mode, asks for no gradient of its parameters, and has its batch normalizations
folded into the convolutions before them. The attacked model itself is never touched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.fusion import fuse_conv_bn_eval

from recsec.errors import ConfigError
from recsec.models import Encoder, Precision
from recsec.models.trainer import resolve_precision

__all__ = ["Prepared", "fold", "prepare"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def fold(model: nn.Module, images: Tensor) -> nn.Module:
    """A copy of ``model`` with each batch normalization folded into the convolution before it.

    Which convolution feeds which normalization is observed on ``images``, so any control flow will
    do. A copy whose output differs (a convolution feeds two readers) is thrown away and the
    unfolded one is returned.

    Args:
        model: any module, in any mode; left as it is.
        images: ``(B, C, H, W)``, an input it accepts.
    """
    plain = copy.deepcopy(model).eval().requires_grad_(False)
    folded = copy.deepcopy(plain)
    names = {module: name for name, module in folded.named_modules()}
    made: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensor is kept so that its id stays taken
    pairs: list[tuple[Any, Any]] = []

    def watch(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, CONVOLUTIONS):
            made[id(output)] = (module, output)
        elif inputs and id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])][0], module))

    handles = [
        module.register_forward_hook(watch)
        for module in names
        if isinstance(module, CONVOLUTIONS + NORMS)
    ]
    with torch.no_grad():
        expected = plain(images)
        folded(images)
    for handle in handles:
        handle.remove()
    once = {conv for conv, _ in pairs if sum(conv is other for other, _ in pairs) == 1}
    for conv, norm in pairs:
        if conv in once and norm.running_mean is not None:
            _replace(folded, names[conv], fuse_conv_bn_eval(conv, norm))
            _replace(folded, names[norm], nn.Identity())
    with torch.no_grad():
        same = torch.allclose(folded(images), expected, rtol=1e-3, atol=1e-4)
    return folded if same else plain


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


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
    """An embedder ready to be attacked; what is prepared already is returned as it is.

    Args:
        embedder: a module or any callable; a callable is taken as it is.
        images: ``(B, C, H, W)``, of the size it will see.
        precision: of the search; "auto" takes bfloat16 where the hardware has it.
    """
    if isinstance(embedder, Prepared):
        return embedder
    if not isinstance(embedder, nn.Module):
        return Prepared(embedder)
    exact = fold(embedder, images[:2])
    exact.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if resolve_precision(precision, images.device) == torch.float32:
        return Prepared(exact)
    if isinstance(embedder, Encoder):  # our own keeps float32 where it matters
        return Prepared(exact, copy.deepcopy(exact).to(torch.bfloat16), cast=True)
    return Prepared(exact, exact)

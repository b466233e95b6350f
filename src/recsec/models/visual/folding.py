"""Batch normalizations merged into the convolutions before them: the same function, faster.

For evaluation mode only. A pass then reads and writes less memory; outputs stay the same up to
rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold_norms", "foldable", "folded_copy"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def fold_norms(model: nn.Module, pairs: Iterable[tuple[str, str]]) -> None:
    """Merge batch norms into convolutions, in place; what is merged already is passed over.

    Args:
        model: in evaluation mode.
        pairs: names of a convolution and of the batch norm that alone reads it.
    """
    for conv_name, norm_name in pairs:
        conv: Any = model.get_submodule(conv_name)
        norm: Any = model.get_submodule(norm_name)
        if isinstance(norm, NORMS):
            _replace(model, conv_name, fuse_conv_bn_eval(conv, norm))
            _replace(model, norm_name, nn.Identity())


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


def foldable(model: nn.Module, images: Float[Tensor, "B C H W"]) -> list[tuple[str, str]]:
    """Which batch norms of a network can be merged: pairs for ``fold_norms``.

    Which convolution feeds which norm is observed on ``images``, so any control flow will do. Where
    the merged network answers otherwise, there is no pair.

    Args:
        model: in any mode; left as it is.
        images: an input it accepts.
    """
    plain = copy.deepcopy(model).eval().requires_grad_(False)
    if not any(isinstance(module, NORMS) for module in plain.modules()):
        return []
    folded = copy.deepcopy(plain)
    with torch.no_grad():
        pairs = _observed(folded, images)
        fold_norms(folded, pairs)
        same = torch.allclose(folded(images), plain(images), rtol=1e-3, atol=1e-4)
    return pairs if same else []


def folded_copy(model: nn.Module, images: Float[Tensor, "B C H W"]) -> nn.Module:
    """A frozen copy of any network, with each batch norm merged into the convolution before it.

    Arguments as in ``foldable``.
    """
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    fold_norms(copied, foldable(model, images))
    return copied


def _observed(model: nn.Module, images: Tensor) -> list[tuple[str, str]]:
    """Names of convolutions and the norms that read them, where one is the other's only one."""
    names = {module: name for name, module in model.named_modules()}
    made: dict[int, tuple[str, Tensor]] = {}  # the tensor is kept so that its id stays taken
    pairs: list[tuple[str, str]] = []

    def watch(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, CONVOLUTIONS):
            made[id(output)] = (names[module], output)
        elif inputs and id(inputs[0]) in made and getattr(module, "running_mean", None) is not None:
            pairs.append((made[id(inputs[0])][0], names[module]))

    handles = [
        module.register_forward_hook(watch)
        for module in names
        if isinstance(module, CONVOLUTIONS + NORMS)
    ]
    model(images)
    for handle in handles:
        handle.remove()
    convs = [conv for conv, _ in pairs]
    norms = [norm for _, norm in pairs]
    return [
        (conv, norm) for conv, norm in pairs if convs.count(conv) == 1 and norms.count(norm) == 1
    ]

"""Tensors as safetensors files that know their own check sum, and the networks that take them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.overrides import TorchFunctionMode

from recsec.errors import CheckpointError
from recsec.runs import PLACEHOLDER, intact, sealed

__all__ = ["load_tensors", "tensor_bytes", "unfilled"]


class _Undrawn(TorchFunctionMode):
    """Initial weights are not drawn."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def unfilled() -> Iterator[None]:
    """Networks that are built here have shapes and take no memory, until tensors fit them.

    To draw weights without memory, torch imports its compiler, which takes longer than to load
    a checkpoint.
    """
    with torch.device("meta"), _Undrawn():
        yield


def tensor_bytes(tensors: dict[str, Tensor]) -> bytes:
    """The content of a file of these tensors, which are contiguous and on the CPU."""
    return sealed(save(tensors, metadata={"recsec": PLACEHOLDER}), footer=False)


def load_tensors(path: Path, *, hint: str | None = None) -> dict[str, Tensor]:
    """The tensors of a file of ours, or of any other safetensors file.

    Args:
        path: the file.
        hint: what to do about a damaged one.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: it is damaged.
    """
    try:
        content = path.read_bytes()
        if not intact(content, footer=False):
            raise CheckpointError(f"{path} is damaged: its check sum is another", hint=hint)
        return load(content)
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}", hint=hint) from error

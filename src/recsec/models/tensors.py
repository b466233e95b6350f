"""Tensors as safetensors files that know their own check sum."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from recsec.errors import CheckpointError
from recsec.runs import PLACEHOLDER, intact, sealed

__all__ = ["load_tensors", "tensor_bytes"]


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

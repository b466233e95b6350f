"""Arrays and names in one safetensors file that is either the old one or the new one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from recsec.errors import CheckpointError
from recsec.runs import PLACEHOLDER, atomic_write_bytes, intact, sealed_parts

__all__ = [
    "pack_arrays",
    "pack_names",
    "read_arrays",
    "unpack_arrays",
    "unpack_names",
    "write_arrays",
]


KINDS = {"i": "I", "u": "U", "f": "F"}
"""numpy's letters of kinds of numbers to those of safetensors."""


def pack_names(names: Sequence[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Names as UTF-8 bytes one after the other, and where each ends.

    >>> [part.tolist() for part in pack_names(["a", "bc"])]
    [[97, 98, 99], [1, 3]]
    """
    encoded = [name.encode() for name in names]
    ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), ends


def unpack_names(text: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> list[str]:
    """What ``pack_names`` packed."""
    content, bounds = text.tobytes(), [0, *ends.tolist()]
    return [content[a:b].decode() for a, b in pairwise(bounds)]


def _pieces(
    arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]
) -> tuple[bytes | memoryview, ...]:
    """The sealed file in pieces: ``safetensors.numpy.save`` without its copies of all arrays."""
    # safetensors cannot hold a file without any tensor
    content = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content["_"] = np.zeros(1, dtype=np.uint8)
    content = dict(sorted(content.items(), key=lambda one: -one[1].itemsize))
    told = json.dumps({**facts, "sum": PLACEHOLDER}, sort_keys=True)
    header: dict[str, Any] = {"__metadata__": {"facts": told}}
    end = 0
    for name, array in content.items():
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": KINDS[array.dtype.kind] + str(8 * array.itemsize),
            "shape": array.shape,
            "data_offsets": (begin, end),
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    head = len(text).to_bytes(8, "little") + text
    flat = [array.reshape(-1).view(np.uint8).data for array in content.values() if array.size]
    return sealed_parts(head, *flat, footer=False)


def pack_arrays(arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> bytes:
    """Arrays of numbers and JSON-able facts as the bytes of one file."""
    return b"".join(_pieces(arrays, facts))


def write_arrays(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]
) -> None:
    """Write arrays of numbers and JSON-able facts as one file; a kill leaves the old or the new.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    atomic_write_bytes(path, _pieces(arrays, facts))


def read_arrays(path: Path, *, hint: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """What ``write_arrays`` wrote.

    Args:
        path: the file.
        hint: what to do about a damaged one.

    Raises:
        CheckpointError: the file is missing or broken.
    """
    try:
        if not intact(path.read_bytes(), footer=False, ours=True):
            raise CheckpointError(f"{path} is damaged: its check sum is another", hint=hint)
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            names = [name for name in file.keys() if name != "_"]  # noqa: SIM118 - no mapping
            return {name: file.get_tensor(name) for name in names}, facts
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}: {error}", hint=hint) from error


def unpack_arrays(
    content: bytes, *, name: str, hint: str
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """What ``pack_arrays`` packed.

    Args:
        content: the bytes.
        name: what they are called.
        hint: what to do about damaged ones.

    Raises:
        CheckpointError: they are broken.
    """
    if not intact(content, footer=False, ours=True):
        raise CheckpointError(f"{name} is damaged: its check sum is another", hint=hint)
    try:
        size = int.from_bytes(content[:8], "little")
        facts = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["facts"])
        arrays = {key: value for key, value in load(content).items() if key != "_"}
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {name}: {error}", hint=hint) from error
    return arrays, facts

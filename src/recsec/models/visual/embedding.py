"""Embeddings of photos in batches, kept beside the checkpoint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from filelock import FileLock, Timeout
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.models.base import PhotoEncoder
from recsec.models.visual.checkpoint import encoder_fingerprint
from recsec.models.visual.encoder import frozen_copy
from recsec.runs import atomic_write_bytes, digest
from recsec.types import IntArray, Progress

if TYPE_CHECKING:
    from recsec.data.photos.catalog import Photos

__all__ = ["catalog_features", "embed"]

BATCH = 128
PART = 8192
"""Photos that are embedded and kept together."""
PIXELS = 2**21
"""Of a batch: more takes memory and no less time."""


@torch.no_grad()
def embed(
    encoder: PhotoEncoder,
    photos: Photos,
    rows: IntArray,
    *,
    normalize: bool = True,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, "B D"]:
    """Embeddings of photos, float32 on the CPU.

    The size of the batches does not matter beyond rounding.

    Args:
        encoder: on any device; it is put into evaluation mode.
        rows: ``(B,)`` int64.
        normalize: unit norm; otherwise the features, as the heads take them.
        batch: photos per pass; by default 128, fewer of more than 128 pixels a side.
        progress: is told about every batch.
    """
    encoder.eval()
    if batch is None:
        batch = min(BATCH, max(1, PIXELS // encoder.size**2))
    out = torch.empty(len(rows), encoder.dim)
    for start in range(0, len(rows), batch):
        pixels = photos.pixels(rows[start : start + batch], encoder.size)
        images = torch.from_numpy(pixels).to(encoder.device).float().div_(255)
        out[start : start + batch] = encoder.features(images).cpu()
        if progress is not None:
            progress("embedding", min(start + batch, len(rows)), len(rows))
    return F.normalize(out, dim=1) if normalize else out


def catalog_features(
    encoder: PhotoEncoder, photos: Photos, folder: Path | None, *, progress: Progress | None = None
) -> Float[Tensor, "N D"]:
    """Features of all photos, before they get unit norm; kept in ``folder/embeddings``.

    A file belongs to one set of weights, photos and way of making squares. A damaged one is made
    again; where the folder cannot be written, nothing is kept. Large catalogs are embedded in parts
    of 8,192 photos: a process that is killed goes on after the last whole part, and processes with
    the same folder, on one machine or several, share the parts. The file is mapped into memory, so
    no more of it is held than is in use.

    Args:
        encoder: in any mode; it is put into evaluation mode.
        photos: the catalog.
        folder: the checkpoint; None keeps nothing.
        progress: is told about every batch.
    """
    key = digest(
        {
            "weights": encoder_fingerprint(encoder),
            "photos": photos.fingerprint,
            "rule": str(photos.rule),
        }
    )
    path = None if folder is None else folder / "embeddings" / f"{key[:32]}.safetensors"
    with suppress(OSError, SafetensorError, KeyError):
        found = {} if path is None else load_file(path)
        if path is not None and found["features"].shape == (len(photos), encoder.dim):
            return found["features"]
    frozen = frozen_copy(encoder)
    if path is not None and len(photos) > PART:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            _in_parts(frozen, photos, path, progress)
            return load_file(path)["features"]
    rows = np.arange(len(photos))
    features = embed(frozen, photos, rows, normalize=False, progress=progress)
    if path is None:
        return features
    with suppress(OSError):
        atomic_write_bytes(path, save({"features": features}))
    return features


def _in_parts(encoder: PhotoEncoder, photos: Photos, path: Path, progress: Progress | None) -> None:
    """Embed parts that nobody else is embedding, wait for the others, and join all in ``path``."""
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(photos), PART)
    for wait in (False, True):
        for start in starts:
            if path.exists():  # another process was the last
                return
            with suppress(Timeout), FileLock(folder / f"{start}.lock", timeout=-1 if wait else 0):
                _part(encoder, photos, folder / f"{start}.safetensors", start, progress)
    with FileLock(folder / "join.lock"):
        if not path.exists():
            atomic_write_bytes(path, _joined([folder / f"{at}.safetensors" for at in starts]))
    shutil.rmtree(folder, ignore_errors=True)


def _part(
    encoder: PhotoEncoder, photos: Photos, path: Path, start: int, progress: Progress | None
) -> None:
    """Embed one part, unless it is there."""
    rows = np.arange(start, min(start + PART, len(photos)))
    with suppress(OSError, SafetensorError, KeyError):
        if load_file(path)["features"].shape == (len(rows), encoder.dim):
            return

    def told(what: str, done: int, _: int) -> None:
        if progress is not None:
            progress(what, start + done, len(photos))

    features = embed(encoder, photos, rows, normalize=False, progress=told)
    atomic_write_bytes(path, save({"features": features}))


def _joined(parts: list[Path]) -> Iterator[bytes]:
    """One file of the features of all parts, part by part."""
    whole = 0
    for path in parts:
        with safe_open(path, framework="pt") as file:
            rows, width = file.get_slice("features").get_shape()
            whole += rows
    told = {"dtype": "F32", "shape": [whole, width], "data_offsets": [0, 4 * whole * width]}
    header = json.dumps({"features": told}).encode()
    header += b" " * (-len(header) % 8)
    yield len(header).to_bytes(8, "little") + header
    for path in parts:
        yield load_file(path)["features"].numpy().astype("<f4").tobytes()

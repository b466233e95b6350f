"""Embeddings of photos in batches, kept beside the checkpoint."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
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
    again; where the folder cannot be written, nothing is kept.

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
    rows = np.arange(len(photos))
    features = embed(frozen_copy(encoder), photos, rows, normalize=False, progress=progress)
    if path is None:
        return features
    with suppress(OSError):
        atomic_write_bytes(path, save({"features": features}))
    return features

"""The judge: what an attack claims counts only after the image went through a file.

Project into the ball, round to 8 bits inside it, save as PNG, decode the PNG, embed it in float32
with the attacked model itself, rank it exactly. Distances are measured on the decoded file too.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from recsec.attacks.evasion.base import Embedder
from recsec.attacks.evasion.projection import Ball, to_bytes
from recsec.errors import TargetError
from recsec.metrics import l2_distance, linf_distance, psnr, ssim
from recsec.models import ExactIndex
from recsec.types import FloatArray, IntArray

__all__ = ["Confirmed", "Ingest", "confirm", "embed_pixels", "png_bytes", "through_png"]

Ingest = Callable[[UInt8[Tensor, "B 3 H W"]], UInt8[Tensor, "B 3 H W"]]
"""What happens to a photo between the attacker's disk and the encoder."""

BATCH = 128


@dataclass(frozen=True)
class Confirmed:
    """What the files hold and where they rank; ``(B,)`` each, float64 unless said otherwise.

    Attributes:
        images: ``(B, 3, H, W)`` uint8, as decoded.
        ranks: int64, exact; 1 is best.
        cosines: to the target, from float32 embeddings.
        linf: largest change of a pixel, a share of the pixel range.
        l2: Euclidean length of the change, pixels in [0, 1].
        psnr: dB; infinite where nothing changed.
        ssim: 1 where nothing changed.
    """

    images: npt.NDArray[np.uint8]
    ranks: IntArray
    cosines: FloatArray
    linf: FloatArray
    l2: FloatArray
    psnr: FloatArray
    ssim: FloatArray


def png_bytes(image: UInt8[Tensor, "3 H W"]) -> bytes:
    """A photo as a PNG file."""
    buffer = io.BytesIO()
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def through_png(images: UInt8[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B 3 H W"]:
    """Write every photo as a PNG file and decode the file."""
    decoded = [np.asarray(Image.open(io.BytesIO(png_bytes(one)))) for one in images.cpu()]
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def embed_pixels(
    embedder: Embedder, images: UInt8[Tensor, "B 3 H W"], device: torch.device
) -> Float[Tensor, "B D"]:
    """Embeddings of stored photos through the real path, float32."""
    parts = [
        embedder(part.to(device).float().div(255)).float() for part in torch.split(images, BATCH)
    ]
    return torch.cat(parts)


def confirm(
    embedder: Embedder,
    index: ExactIndex,
    images: Float[Tensor, "B 3 H W"],
    originals: UInt8[Tensor, "B 3 H W"],
    *,
    attackers: Int[Tensor, " B"],
    targets: Int[Tensor, " B"],
    eps: float,
    project: bool = True,
    ingest: Ingest = through_png,
) -> Confirmed:
    """Judge perturbed photos.

    Args:
        embedder: the attacked model, in evaluation mode.
        index: its embeddings of the catalog.
        images: what the attack returned, pixels in [0, 1].
        originals: the photos that were attacked.
        attackers: their rows in the catalog; their clean vectors do not count in the ranks.
        targets: rows of the target items.
        eps: the budget.
        project: put the images into the ball first. Without it an attack that left the ball is
            measured as it is; ``linf`` then says so.
        ingest: by default a PNG file; another one (JPEG) is a measurement of its own.

    Raises:
        ConfigError: ``eps`` is not in [0, 1].
        TargetError: the embedder gives something that is not finite.
    """
    device = index.vectors.device
    centers = originals.to(images.device).float().div(255)
    inside = Ball.around(centers, eps).round(images) if project else images.clamp(0, 1)
    stored = ingest(to_bytes(inside).cpu())
    embeddings = embed_pixels(embedder, stored, device)
    if not torch.isfinite(embeddings).all():
        raise TargetError(
            "the embedder gives values that are not finite",
            hint="check the weights of the checkpoint for NaN",
        )
    before, after = originals.cpu().numpy(), stored.numpy()
    return Confirmed(
        images=after,
        ranks=index.rank(embeddings, targets, attackers).cpu().numpy(),
        cosines=(embeddings.double() * index.vectors[targets].double()).sum(1).cpu().numpy(),
        linf=linf_distance(before, after),
        l2=l2_distance(before, after),
        psnr=psnr(before, after),
        ssim=ssim(before, after),
    )

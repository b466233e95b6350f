"""The judge: what an attack claims counts only after the image went through a file.

Project into the ball, round to 8 bits inside it, save as PNG, decode the PNG, embed it in float32
with the attacked model itself, rank it exactly. Distances are measured on the decoded file too. A
shop that recompresses uploads stands between the PNG and the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from recsec.attacks.evasion.base import Embedder
from recsec.attacks.evasion.harness.ingest import Ingest, through_png
from recsec.attacks.evasion.harness.ranking import OF_TARGET, Ranking
from recsec.attacks.evasion.projection import Ball, to_bytes
from recsec.errors import TargetError
from recsec.metrics import l2_distance, linf_distance, psnr, ssim
from recsec.models import ExactIndex
from recsec.types import FloatArray, IntArray

__all__ = ["Confirmed", "confirm", "distances", "embed_pixels", "stored"]

BATCH = 128


@dataclass(frozen=True)
class Confirmed:
    """What the files hold and where they rank; ``(B,)`` each, float64 unless said otherwise.

    Attributes:
        images: ``(B, 3, H, W)`` uint8, the attacker's PNG files as decoded.
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


@torch.no_grad()
def embed_pixels(
    embedder: Embedder,
    images: UInt8[Tensor, "B 3 H W"],
    device: torch.device,
    *,
    ingest: Ingest | None = None,
) -> Float[Tensor, "B D"]:
    """Embeddings of uploaded photos through the real path, float32."""
    if ingest is not None:
        images = ingest(images)
    parts = [
        embedder(part.to(device).float().div(255)).float() for part in torch.split(images, BATCH)
    ]
    return torch.cat(parts)


def stored(
    embedder: Embedder,
    images: Float[Tensor, "B 3 H W"],
    originals: UInt8[Tensor, "B 3 H W"],
    *,
    device: torch.device,
    eps: float,
    project: bool = True,
    ingest: Ingest | None = None,
) -> tuple[UInt8[Tensor, "B 3 H W"], Float[Tensor, "B D"]]:
    """The files of perturbed photos, and their embeddings after the shop took them in.

    Arguments and errors as in ``confirm``.
    """
    centers = originals.to(images.device).float().div(255)
    inside = Ball.around(centers, eps).round(images) if project else images.clamp(0, 1)
    files = through_png(to_bytes(inside).cpu())
    embeddings = embed_pixels(embedder, files, device, ingest=ingest)
    if not torch.isfinite(embeddings).all():
        raise TargetError(
            "the embedder gives values that are not finite",
            hint="check the weights of the checkpoint for NaN",
        )
    return files, embeddings


def distances(
    before: UInt8[Tensor, "B 3 H W"], after: UInt8[Tensor, "B 3 H W"]
) -> dict[str, FloatArray]:
    """How far stored photos moved: ``linf``, ``l2``, ``psnr`` and ``ssim``, ``(B,)`` each."""
    measures = {"linf": linf_distance, "l2": l2_distance, "psnr": psnr, "ssim": ssim}
    one, other = before.cpu().numpy(), after.cpu().numpy()
    return {name: measure(one, other) for name, measure in measures.items()}


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
    ingest: Ingest | None = None,
    ranking: Ranking = OF_TARGET,
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
        ingest: what the shop does to the PNG file before the encoder sees it; None: nothing. The
            budget and the distances are those of the PNG.
        ranking: whose list counts.

    Raises:
        ConfigError: ``eps`` is not in [0, 1].
        TargetError: the embedder gives something that is not finite.
    """
    files, embeddings = stored(
        embedder, images, originals,
        device=index.vectors.device, eps=eps, project=project, ingest=ingest,
    )  # fmt: skip
    return Confirmed(
        images=files.numpy(),
        ranks=ranking.ranks(index, embeddings, targets, attackers).cpu().numpy(),
        cosines=(embeddings.double() * index.vectors[targets].double()).sum(1).cpu().numpy(),
        **distances(originals, files),
    )

"""One photo, many lists: how many a perturbed photo enters, of chosen items and of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from recsec.attacks.evasion.base import Embedder, EvasionAttack
from recsec.attacks.evasion.fast import Prepared
from recsec.attacks.evasion.harness.confirm import distances, embed_pixels, stored
from recsec.attacks.evasion.harness.ingest import Ingest
from recsec.attacks.evasion.objective import SoftRank
from recsec.attacks.evasion.projection import effective_eps
from recsec.errors import ConfigError
from recsec.models import ExactIndex
from recsec.rng import Streams
from recsec.types import IntArray

__all__ = ["HubResult", "HubScene", "Lists", "attack_hub"]

BATCH = 1024
"""Lists that are read at a time."""
SPENT = ("forwards", "backwards", "queries", "dead")


class Lists:
    """The lists of all items of a catalog: the first r neighbors of each, without itself.

    Args:
        index: N embeddings.
        r: length of the lists.
    """

    def __init__(self, index: ExactIndex, r: int) -> None:
        self.index, self.r = index, r
        everything = torch.arange(len(index), device=index.vectors.device)
        found = [
            index.neighbors(index.vectors[part], r + 1, exclude=part)
            for part in torch.split(everything, BATCH)
        ]
        self._rows = torch.cat([rows for rows, _ in found])
        cosines = torch.cat([cosines for _, cosines in found])
        missing = max(0, r + 1 - cosines.shape[1])
        self._cosines = torch.nn.functional.pad(cosines, (0, missing), value=float("-inf"))

    def thresholds(self, attackers: Int[Tensor, " B"]) -> Float[Tensor, "B N"]:
        """The cosine that a photo must exceed to enter each list, its own clean vector left out."""
        r = self.r
        inside = (self._rows[None, :, :r] == attackers[:, None, None]).any(2)
        return torch.where(inside, self._cosines[:, r], self._cosines[:, r - 1])

    def entered(
        self, embeddings: Float[Tensor, "B D"], attackers: Int[Tensor, " B"]
    ) -> Bool[Tensor, "B N"]:
        """Which lists hold each photo: those where ``ExactIndex.rank`` is at most r.

        An item is in no list of its own.
        """
        over = embeddings @ self.index.vectors.T - self.thresholds(attackers)
        found = over > self.index.band
        photo, item = (over.abs() <= self.index.band).nonzero(as_tuple=True)
        if len(photo):  # too close to call in float32
            ranks = self.index.rank(embeddings[photo], item, attackers[photo])
            found[photo, item] = ranks <= self.r
        found.scatter_(1, attackers[:, None], False)
        return found


@dataclass(frozen=True)
class HubScene:
    """What is attacked.

    Attributes:
        embedder: the attacked model, in evaluation mode, on one device with ``lists``.
        lists: those of its catalog.
        attackers: ``(P,)`` int64 rows of the photos.
        targets: ``(Q,)`` int64 rows of the items whose lists are to be entered.
        photos: ``(P, 3, H, W)`` uint8.
        ready: the copy that attacks search with; None: the attack makes its own.
    """

    embedder: Embedder
    lists: Lists
    attackers: IntArray
    targets: IntArray
    photos: UInt8[Tensor, "P 3 H W"]
    ready: Prepared | None = None

    def __post_init__(self) -> None:
        own = np.intersect1d(self.attackers, self.targets)
        if len(own):
            raise ConfigError(
                f"row {own[0]} is both a photo and a target",
                hint="an item is in no list of its own; choose other targets",
            )


@dataclass(frozen=True)
class HubResult:
    """The judged photos at one budget.

    Attributes:
        eps: the budget.
        table: one row per photo: lists_before, lists_after (of the Q targets), exposure_before,
            exposure_after (of all items), linf, l2, psnr, ssim, in_budget, forwards, backwards,
            queries, dead.
        images: ``(P, 3, H, W)`` uint8, as decoded from the files.
    """

    eps: float
    table: pl.DataFrame
    images: npt.NDArray[np.uint8]


def attack_hub(
    attack: EvasionAttack,
    scene: HubScene,
    *,
    eps: Sequence[float],
    rng: Streams,
    project: bool = True,
    ingest: Ingest | None = None,
    keys: Sequence[int] | None = None,
) -> list[HubResult]:
    """Move each photo into as many lists as it will go, then count them from the files.

    Budgets ascend; a photo keeps the file of the smaller one where that is in more lists of
    targets. Effort is that of all budgets so far.

    Args:
        attack: what perturbs.
        scene: photos, targets, model, lists.
        eps: budgets, in any order.
        rng: draws.
        project: see ``confirm``.
        ingest: see ``confirm``.
        keys: names of the photos' streams; by default their numbers.

    Raises:
        ConfigError: ``eps`` is not in [0, 1].
        TargetError: the embedder gives something that is not finite.
    """
    index = scene.lists.index
    device = index.vectors.device
    attackers = torch.from_numpy(scene.attackers).to(device)
    targets = torch.from_numpy(scene.targets).to(device)
    images = scene.photos.to(device).float().div(255)
    objective = SoftRank(index.vectors[targets], scene.lists.thresholds(attackers)[:, targets])

    def count(vectors: Tensor, name: str) -> dict[str, IntArray]:
        entered = scene.lists.entered(vectors, attackers)
        return {
            f"lists_{name}": entered[:, targets].sum(1).cpu().numpy(),
            f"exposure_{name}": entered.sum(1).cpu().numpy(),
        }

    clean = embed_pixels(scene.embedder, scene.photos, device, ingest=ingest)
    before = count(clean, "before")
    found: list[HubResult] = []
    for budget in sorted(eps):
        start = None
        if found:
            start = torch.from_numpy(found[-1].images).to(device).float().div(255)
        claim = attack.perturb(
            scene.ready or scene.embedder, images, objective,
            eps=budget, rng=rng, keys=keys, start=start,
        )  # fmt: skip
        files, vectors = stored(
            scene.embedder, claim.images, scene.photos,
            device=device, eps=budget, project=project, ingest=ingest,
        )  # fmt: skip
        columns = before | count(vectors, "after") | distances(scene.photos, files)
        columns |= {name: getattr(claim, name).cpu().numpy() for name in SPENT}
        pixels = files.numpy()
        if found:
            last = {name: found[-1].table[name].to_numpy() for name in columns}
            keep = last["lists_after"] > columns["lists_after"]
            columns = {
                name: last[name] + now if name in SPENT else np.where(keep, last[name], now)
                for name, now in columns.items()
            }
            pixels = np.where(keep[:, None, None, None], found[-1].images, pixels)
        inside = pl.col("linf") <= effective_eps(budget) + 1e-9
        table = pl.DataFrame(columns).with_columns(in_budget=inside)
        found.append(HubResult(budget, table, pixels))
    return found

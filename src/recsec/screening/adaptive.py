"""An attacker who knows the screens: success and silence, raised together.

The screens become a penalty: the encoder he attacks also embeds the squeezed copies, and his
objective subtracts how far the panel's score is over the threshold. The attacks themselves know
nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsec.attacks.evasion import EvasionAttack, Objective, confirm
from recsec.models import Encoder, ExactIndex
from recsec.rng import Streams
from recsec.screening.base import Catalog, Uploads
from recsec.screening.panel import Panel
from recsec.screening.uploads import look
from recsec.types import FloatArray, IntArray

__all__ = ["Judged", "Silent", "Watched", "silent_attack"]


@dataclass(frozen=True)
class Watched:
    """An embedder whose vectors hold the looks of an image one after the other: ``(B, V * D)``."""

    encoder: Encoder

    def __call__(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B E"]:
        """The looks of images, float32."""
        return look(self.encoder, images).flatten(1)


@dataclass(frozen=True)
class Silent(Objective):
    """The cosine to a target minus ``weight`` times how far the panel is over its threshold.

    Reads what ``Watched`` embeds. The photo is taken for nearly the one it replaces, which is the
    worst case for the attacker; inside small balls it is true.

    Attributes:
        targets: ``(B, D)`` float32 unit vectors.
        listings: ``(B,)`` rows of the attacked photos.
        previous: ``(B, 3, S, S)`` those photos.
        panel: the screens.
        catalog: what they know.
        limit: the panel's threshold.
        weight: of the penalty; 0 is the attacker who does not know.
    """

    shared: ClassVar[tuple[str, ...]] = ()
    targets: Float[Tensor, "B D"]
    listings: Int[Tensor, " B"]
    previous: Float[Tensor, "B 3 S S"]
    panel: Panel
    catalog: Catalog
    limit: float
    weight: float

    def values(self, embeddings: Float[Tensor, "B E"]) -> Float[Tensor, " B"]:
        """See ``Objective.values``."""
        looks = embeddings.view(len(embeddings), -1, self.targets.shape[1])
        cosines: Tensor = (looks[:, 0] * self.targets).sum(dim=1)
        if self.weight == 0:
            return cosines
        uploads = Uploads(self.previous, looks, self.listings, self.previous)
        over = self.panel.scores(uploads, self.catalog)[:, -1] - self.limit
        return cosines - self.weight * over.clamp(min=0)

    def solved(self, embeddings: Float[Tensor, "B E"]) -> Bool[Tensor, " B"]:
        """Never: it goes on to the last step."""
        return torch.zeros(len(embeddings), dtype=torch.bool, device=embeddings.device)


@dataclass(frozen=True)
class Judged:
    """What became of B attacked photos, measured on their files.

    Attributes:
        ranks: ``(B,)`` int64, in the list of the target.
        scores: ``(B, S + 1)`` float64, of the screens and the panel.
        cosines: ``(B,)`` float64, to the target.
    """

    ranks: IntArray
    scores: FloatArray
    cosines: FloatArray

    def undetected(self, panel: Panel, rate: float) -> np.ndarray:
        """``(B,)`` bool: no alarm of the panel at this rate."""
        found: np.ndarray = self.scores[:, -1] <= float(panel.limits[rate][-1])
        return found


def silent_attack(
    attack: EvasionAttack,
    encoder: Encoder,
    search: Encoder,
    panel: Panel,
    catalog: Catalog,
    images: Float[Tensor, "B 3 S S"],
    listings: IntArray,
    targets: IntArray,
    *,
    eps: float,
    rate: float,
    weight: float,
    rng: Streams,
    batch: int = 64,
) -> Judged:
    """Attack photos against encoder and panel together; judge rank and alarm on the PNG files.

    Args:
        attack: what perturbs.
        encoder: judges, float32.
        search: the copy that is attacked, maybe in bfloat16.
        panel: the screens, fitted.
        catalog: what they know; its vectors are ranked.
        images: the listed photos, 8-bit values in [0, 1].
        listings: ``(B,)`` their rows.
        targets: ``(B,)`` rows of the targets.
        eps: L-infinity budget.
        rate: of false alarms, whose threshold is respected.
        weight: of the penalty.
        rng: draws.
        batch: photos at a time.
    """
    index = ExactIndex(catalog.vectors)
    place, parts = encoder.device, []
    for part in torch.split(torch.arange(len(images)), batch):
        rows = torch.from_numpy(listings)[part].to(place)
        wanted = torch.from_numpy(targets)[part].to(place)
        photos = images[part].to(place)
        objective = Silent(
            catalog.vectors[wanted], rows, photos, panel, catalog,
            float(panel.limits[rate][-1]), weight,
        )  # fmt: skip
        claim = attack.perturb(
            Watched(search), photos, objective, eps=eps, rng=rng, keys=part.tolist()
        )
        found = confirm(
            encoder, index, claim.images, photos.mul(255).round().to(torch.uint8),
            attackers=rows, targets=wanted, eps=eps,
        )  # fmt: skip
        stored = torch.from_numpy(found.images).to(place).float().div(255)
        with torch.no_grad():
            uploads = Uploads(stored, look(encoder, stored), rows, photos)
            scores = panel.scores(uploads, catalog).double().cpu().numpy()
        parts.append(Judged(found.ranks, scores, found.cosines))
    return _joined(parts)


def _joined(parts: Sequence[Judged]) -> Judged:
    """Batches one after the other."""
    return Judged(
        np.concatenate([part.ranks for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.cosines for part in parts]),
    )

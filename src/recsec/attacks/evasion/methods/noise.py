"""The base rate: random noise of the whole budget."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from recsec.attacks.evasion.base import Access, Embedder, EvasionAttack, Perturbed, unchanged
from recsec.attacks.evasion.objective import Objective
from recsec.attacks.evasion.projection import Ball
from recsec.rng import Streams

__all__ = ["Noise"]


class Noise(EvasionAttack):
    """Random signs times eps: what the budget does without an attacker."""

    name = "noise"

    @property
    def access(self) -> Access:
        """Nothing but what is public."""
        return "ids"

    def perturb(
        self,
        embedder: Embedder,
        images: Float[Tensor, "B C H W"],
        objective: Objective,
        *,
        eps: float,
        rng: Streams,
        keys: Sequence[int] | None = None,
        start: Float[Tensor, "B C H W"] | None = None,
    ) -> Perturbed:
        """See ``EvasionAttack.perturb``; it asks nothing and ignores ``start``."""
        ball = Ball.around(images, eps)
        found = unchanged(images)
        for row, key in enumerate(range(len(images)) if keys is None else keys):
            signs = torch.rand(images.shape[1:], generator=rng.child(key).torch("noise")) < 0.5
            found.images[row] = torch.where(signs.to(images.device), ball.low[row], ball.high[row])
        return found

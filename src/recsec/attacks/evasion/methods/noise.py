"""The base rate: random noise of the whole budget."""

from __future__ import annotations

import torch

from recsec.attacks.evasion.base import Access, Attempt, EvasionAttack, Perturbed, unchanged
from recsec.attacks.evasion.projection import Ball

__all__ = ["Noise"]


class Noise(EvasionAttack):
    """Random signs times eps: what the budget does without an attacker."""

    name = "noise"

    @property
    def access(self) -> Access:
        """Nothing but what is public."""
        return "ids"

    def search(self, attempt: Attempt) -> Perturbed:
        """It asks nothing and ignores ``start``."""
        images = attempt.images
        ball = Ball.around(images, attempt.eps)
        found = unchanged(images)
        for row, key in enumerate(attempt.keys):
            generator = attempt.rng.child(key).torch("noise")
            signs = torch.rand(images.shape[1:], generator=generator) < 0.5
            found.images[row] = torch.where(signs.to(images.device), ball.low[row], ball.high[row])
        return found

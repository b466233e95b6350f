"""The plain attack that runs beside the clever ones; what it beats is weak evidence."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from recsec.attacks.evasion.base import Attempt, EvasionAttack, EvasionConfig, Perturbed, unchanged
from recsec.attacks.evasion.fast import prepare
from recsec.attacks.evasion.projection import Ball, effective_eps

__all__ = ["Reference", "ReferenceConfig"]


class ReferenceConfig(EvasionConfig):
    """Settings of the reference attack: how long, and nothing to tune."""

    steps: int = Field(100, ge=1, le=100_000, description="gradients per image")


class Reference(EvasionAttack):
    """Momentum of weight 1, steps from a fifth of the ball's radius down to none, float32.

    It shares the ball and the objective with the other attacks, and none of the gradient loop.

    Source: Dong et al., CVPR 2018; the step falls, so that no size has to be chosen.
    """

    name = "reference"
    config_class: ClassVar[type[EvasionConfig]] = ReferenceConfig
    config: ReferenceConfig

    def search(self, attempt: Attempt) -> Perturbed:
        """See ``EvasionAttack.search``. Rows go on until all are done."""
        images, objective, eps = attempt.images, attempt.objective, attempt.eps
        found, ball = unchanged(images), Ball.around(images, eps)
        ready = prepare(attempt.embedder, images, precision="float32")
        x = (images if attempt.start is None else attempt.start).clone()
        momentum = torch.zeros_like(x)
        for left in range(self.config.steps, -1, -1):
            point = ball.round(x).requires_grad_(left > 0)
            with torch.set_grad_enabled(left > 0):
                embeddings = ready.judge(point, raw=objective.raw)
                values = objective.values(embeddings)
            better = values.detach() > found.best
            found.images[better] = point.detach()[better]
            found.best[better] = values.detach()[better]
            found.forwards.add_(1)
            if left == 0 or bool(objective.solved(embeddings.detach()).all()):
                break
            (gradient,) = torch.autograd.grad(values.sum(), point)
            found.backwards.add_(1)
            size = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
            found.dead.add_((~(size.flatten() > 0)).long())
            momentum += gradient.nan_to_num() / size.nan_to_num().clamp(min=1e-30)
            x = ball.project(
                x + 0.2 * effective_eps(eps) * left / self.config.steps * momentum.sign()
            )
        return found

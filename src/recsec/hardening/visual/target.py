"""Training against exactly the item-to-item attacker."""

from __future__ import annotations

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recsec.hardening.visual.losses import hard_targets, item_margin, toward
from recsec.hardening.visual.robust import View, VisualHardening
from recsec.hardening.visual.trades_embedding import TradesEmbeddingConfig, TradesEmbeddingObjective

__all__ = ["Target", "TargetConfig", "TargetObjective"]


class TargetConfig(TradesEmbeddingConfig):
    """Settings of training against item-to-item attacks."""

    eps: float = Field(0.05, gt=0, le=1, description="radius of the inner attack, of pixel range")
    steps: int = Field(2, gt=0, description="gradients per inner attack")
    beta: float = Field(4.0, ge=0, description="weight of the consistency")
    margin: float = Field(0.3, ge=0, le=2, description="by which the own place has to be nearer")
    margin_weight: float = Field(1.0, ge=0, description="weight of the margin loss")
    blur: float = Field(
        0.3, ge=0, le=2, description="noise on the choice of targets: 0 the nearest, 2 any"
    )


class TargetObjective(TradesEmbeddingObjective):
    """Consistency and a margin against d that maximizes ``<f(x + d), t - f(x)>``."""

    config: TargetConfig

    def loss(self, view: View) -> Float[Tensor, ""]:
        """Label losses, consistency and margin under the item-to-item attack."""
        config, own = self.config, view.embedded()
        targets = own[hard_targets(own, view.labels, view.rng, blur=config.blur)]
        attacked = view.ascend(
            lambda x: toward(view.frozen(x), own, targets), eps=config.eps, steps=config.steps
        )
        loss, clean, moved = self.paired(view, attacked, beta=config.beta)
        if config.margin_weight == 0:
            return loss
        margins = item_margin(moved, clean.detach(), targets, config.margin)
        return loss + config.margin_weight * margins.mean()


class Target(VisualHardening):
    """Attacks each photo toward a near photo of another category, as the item-to-item attacker.

    The attacked photo has to keep its label, its embedding, and a margin between its own place and
    the target. Related: anti-collapse triplets, Zhou et al. (ECCV 2022 and later), which pull
    attacked pairs of a triplet loss apart.
    """

    name = "target"
    config_class = TargetConfig
    objective_class = TargetObjective

"""Adversarial training on the labels: learn from attacked photos only."""

from __future__ import annotations

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recsec.hardening.visual.robust import RobustConfig, RobustObjective, View, VisualHardening

__all__ = ["Adversarial", "AdversarialConfig", "AdversarialObjective"]


class AdversarialConfig(RobustConfig):
    """Settings of adversarial training; radius and steps are the thesis'."""

    eps: float = Field(0.03, gt=0, le=1, description="radius of the inner attack, of pixel range")
    steps: int = Field(8, gt=0, description="gradients per inner attack")


class AdversarialObjective(RobustObjective):
    """``min max L(x + d, y)``."""

    def loss(self, view: View) -> Float[Tensor, ""]:
        """The label loss of photos attacked through the label loss."""
        rows = view.batch.rows
        attacked = view.ascend(
            lambda x: self.label_loss(view.frozen.classify(x), rows),
            eps=self.config.eps,
            steps=self.config.steps,
        )
        return self.label_loss(self.encoder.classify(attacked), rows)


class Adversarial(VisualHardening):
    """Adversarial training on the labels: the category of attacked photos is learned.

    Source: Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks (ICLR
    2018), equation 2.1. The thesis (Normann, 2020) attacks in training mode from the photo itself;
    here the inner attack runs in evaluation mode from a random start.
    """

    name = "adversarial"
    config_class = AdversarialConfig
    objective_class = AdversarialObjective

"""Hardening without labels: attacked photos are embedded where the original encoder had them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recsec.data.photos.split import PhotoSplit
from recsec.hardening.visual.losses import feature_distance, shift
from recsec.hardening.visual.probe import Probe
from recsec.hardening.visual.robust import RobustConfig, RobustObjective, View, VisualHardening
from recsec.models import Encoder, frozen_copy

__all__ = ["Fare", "FareConfig", "FareObjective"]


class FareConfig(RobustConfig):
    """Settings of label-free fine-tuning."""

    steps: int = Field(3, gt=0, description="gradients per inner attack")
    clean_weight: float = Field(1.0, ge=0, description="weight of the same loss on clean photos")


class FareObjective(RobustObjective):
    """``max |F(x + d) - F0(x)|^2 + w |F(x) - F0(x)|^2``, F0 the encoder as it was given."""

    config: FareConfig

    def __init__(self, encoder: Encoder, split: PhotoSplit, config: FareConfig) -> None:
        super().__init__(encoder, split, config)
        self.original = frozen_copy(encoder)

    def loss(self, view: View) -> Float[Tensor, ""]:
        """Distance of attacked and clean features to the original ones."""
        with torch.no_grad():
            reference = self.original.eval().features(view.images)
        attacked = view.ascend(
            lambda x: feature_distance(view.frozen.features(x), reference),
            eps=self.config.eps,
            steps=self.config.steps,
        )
        features = self.encoder.features(torch.cat([view.images, attacked]))
        clean, moved = features.chunk(2)
        loss = feature_distance(moved, reference).mean()
        return loss + self.config.clean_weight * feature_distance(clean, reference).mean()

    def validate(self) -> dict[str, float]:
        """Mean cosine to the original embedding, of attacked and of clean validation photos."""
        probe = Probe.of(self.encoder, self.split)
        with torch.no_grad():
            reference = self.original(probe.images)
        attacked = probe.attacked(lambda x: shift(probe.frozen(x), reference), eps=self.config.eps)
        with torch.no_grad():
            moved, clean = probe.frozen(attacked), probe.frozen(probe.images)
        return {
            "attacked_cosine": float(1 - shift(moved, reference).mean()),
            "cosine": float(1 - shift(clean, reference).mean()),
        }


class Fare(VisualHardening):
    """Fine-tuning without labels that keeps embeddings near the original, also under attack.

    An index of the original embeddings stays usable, and so do thresholds fitted on it.

    Source: Schlarmann et al., Robust CLIP (ICML 2024), equation 3; the distance is divided by the
    mean squared length of the original features.
    """

    name = "fare"
    config_class = FareConfig
    objective_class = FareObjective

"""Labels, and embeddings that stay where they are under attack."""

from __future__ import annotations

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.hardening.visual.losses import shift
from recsec.hardening.visual.robust import RobustConfig, RobustObjective, View, VisualHardening

__all__ = ["TradesEmbedding", "TradesEmbeddingConfig", "TradesEmbeddingObjective"]


class TradesEmbeddingConfig(RobustConfig):
    """Settings of label loss with consistency."""

    eps: float = Field(0.03, gt=0, le=1, description="radius of the inner attack, of pixel range")
    steps: int = Field(3, gt=0, description="gradients per inner attack")
    beta: float = Field(6.0, ge=0, description="weight of the consistency")


class TradesEmbeddingObjective(RobustObjective):
    """``L(x, y) + L(x + d, y) + beta (1 - cos(f(x + d), f(x)))``; d maximizes the last term."""

    config: TradesEmbeddingConfig

    def loss(self, view: View) -> Float[Tensor, ""]:
        """Both label losses and the consistency, from one pass over clean and attacked photos."""
        own = view.embedded()
        attacked = view.ascend(
            lambda x: shift(view.frozen(x), own), eps=self.config.eps, steps=self.config.steps
        )
        return self.paired(view, attacked, beta=self.config.beta)[0]

    def paired(
        self, view: View, attacked: Tensor, *, beta: float
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        """Label loss of both, consistency, and the unit vectors: clean, attacked."""
        features = self.encoder.features(torch.cat([view.images, attacked]))
        rows = view.batch.rows
        before, after = features.chunk(2)
        labels = self.label_loss(self.encoder.heads(before), rows)
        labels = labels + self.label_loss(self.encoder.heads(after), rows)
        clean, moved = F.normalize(before, dim=1), F.normalize(after, dim=1)
        return labels + beta * shift(moved, clean).mean(), clean, moved


class TradesEmbedding(VisualHardening):
    """Labels of clean and attacked photos, and an embedding that the attack cannot move.

    Source: after Zhang et al., TRADES (ICML 2019), equation 5, with one minus the cosine of the
    embeddings in place of the divergence of predictions: the recommender ranks by the cosine.
    """

    name = "trades-embedding"
    config_class = TradesEmbeddingConfig
    objective_class = TradesEmbeddingObjective

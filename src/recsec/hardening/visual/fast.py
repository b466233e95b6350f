"""Adversarial training with one step, and a watch for the moment at which it breaks."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recsec.data.photos.split import PhotoSplit
from recsec.hardening.visual.probe import Probe
from recsec.hardening.visual.robust import RobustConfig, RobustObjective, View, VisualHardening
from recsec.models import Encoder

__all__ = ["Fast", "FastConfig", "FastObjective"]


class FastConfig(RobustConfig):
    """Settings of one-step adversarial training."""

    steps: int = Field(1, ge=1, le=1, description="it is one step")
    drop: float = Field(
        0.3, gt=0, lt=1, description="loss of attacked precision@10, as a share, that is a collapse"
    )


class FastObjective(RobustObjective):
    """The label loss of photos attacked by one step of 1.25 radii from a random start.

    After each epoch an attack of ten steps probes the encoder. Where its precision falls by
    ``drop`` below the best seen, training has learned to beat the one step only: the weights of
    the best epoch come back, and steps are half as long from then on. (The moments of the
    optimizer stay; they fade within a few hundred steps.)
    """

    config: FastConfig
    safe_precision: Tensor
    rollbacks: Tensor

    def __init__(self, encoder: Encoder, split: PhotoSplit, config: FastConfig) -> None:
        super().__init__(encoder, split, config)
        self.safe = copy.deepcopy(encoder).requires_grad_(False)
        self.register_buffer("safe_precision", torch.tensor(-1.0, dtype=torch.float64))
        self.register_buffer("rollbacks", torch.tensor(0))

    def loss(self, view: View) -> Float[Tensor, ""]:
        """As in adversarial training."""
        rows, eps = view.batch.rows, self.config.eps
        attacked = view.ascend(
            lambda x: self.label_loss(view.frozen.classify(x), rows),
            eps=eps,
            steps=1,
            size=1.25 * eps / 2 ** int(self.rollbacks),
        )
        return self.label_loss(self.encoder.classify(attacked), rows)

    def validate(self) -> dict[str, float]:
        """As for all methods, after the probe and, where it found a collapse, the way back."""
        found = Probe.of(self.encoder, self.split).precision(eps=self.config.eps)
        best = float(self.safe_precision)
        if found < (1 - self.config.drop) * best:
            self.encoder.load_state_dict(self.safe.state_dict())
            self.rollbacks += 1
        elif found >= best:
            self.safe.load_state_dict(self.encoder.state_dict())
            self.safe_precision.fill_(found)
        return {**super().validate(), "rollbacks": float(self.rollbacks)}


class Fast(VisualHardening):
    """One-step adversarial training (FGSM-RS) with a probe for collapse and a way back.

    Source: Wong et al., Fast is Better than Free (ICLR 2020), algorithm 3; the collapse
    ("catastrophic overfitting") is theirs as well, the rollback is ours.
    """

    name = "fast"
    config_class = FastConfig
    objective_class = FastObjective

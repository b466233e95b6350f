"""Adversarial training whose attacks grow stronger when the encoder no longer improves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recsec.data.photos.split import PhotoSplit
from recsec.hardening.visual.adversarial import AdversarialConfig
from recsec.hardening.visual.probe import Probe
from recsec.hardening.visual.robust import RobustObjective, View, VisualHardening
from recsec.models import Encoder
from recsec.models.visual.training import ImageBatch

__all__ = ["Curriculum", "CurriculumConfig", "CurriculumObjective", "CurriculumThesis"]


class CurriculumConfig(AdversarialConfig):
    """Settings of curriculum adversarial training; radius and steps are the thesis'."""

    steps: int = Field(
        8, gt=0, description="gradients of the strongest attack; k goes from 0 to it"
    )
    epochs: int = Field(45, ge=0, description="length of the cosine schedule")
    share: float = Field(1 / 3, gt=0, le=1, description="of the training photos, in one epoch")
    stage_patience: int = Field(
        3, gt=0, description="epochs without a better accuracy under k steps before k grows"
    )


class ThesisConfig(CurriculumConfig):
    """Settings of the thesis: whole epochs, and the patience of ten."""

    epochs: int = Field(100, ge=0, description="length of the cosine schedule")
    share: float = Field(1.0, gt=0, le=1, description="of the training photos, in one epoch")
    stage_patience: int = Field(
        10, gt=0, description="epochs without a better accuracy under k steps before k grows"
    )


class CurriculumObjective(RobustObjective):
    """The label loss of a batch whose parts are attacked with 0, 1, ..., k steps.

    Attributes:
        stage: k, a tensor so that resuming covers it.
        stage_best: the best accuracy of validation photos under k steps.
        stale: epochs since.
    """

    config: CurriculumConfig
    stage: Tensor
    stage_best: Tensor
    stale: Tensor

    def __init__(self, encoder: Encoder, split: PhotoSplit, config: CurriculumConfig) -> None:
        super().__init__(encoder, split, config)
        self.register_buffer("stage", torch.tensor(0))
        self.register_buffer("stage_best", torch.tensor(-1.0, dtype=torch.float64))
        self.register_buffer("stale", torch.tensor(0))

    def epoch(self, rng: np.random.Generator) -> Sequence[ImageBatch]:
        """The first ``share`` of the batches of an epoch in random order."""
        batches = super().epoch(rng)
        return batches[: max(1, round(self.config.share * len(batches)))]

    def loss(self, view: View) -> Float[Tensor, ""]:
        """The label loss of the mixed batch, clean photos and all strengths together."""
        parts = np.array_split(np.arange(len(view.images)), int(self.stage) + 1)
        mixed = [self._attacked(view, part, steps) for steps, part in enumerate(parts)]
        return self.label_loss(self.encoder.classify(torch.cat(mixed)), view.batch.rows)

    def _attacked(self, view: View, part: np.ndarray, steps: int) -> Tensor:
        """The images of a part of the batch after some steps."""
        images, rows = view.images[part], view.batch.rows[part]
        if steps == 0 or len(part) == 0:
            return images
        return view.ascend(
            lambda x: self.label_loss(view.frozen.classify(x), rows),
            eps=self.config.eps,
            steps=steps,
            images=images,
        )

    def validate(self) -> dict[str, float]:
        """As for all methods, and the accuracy under k steps; k grows here."""
        probe, k = Probe.of(self.encoder, self.split), int(self.stage)
        found = probe.accuracy(
            lambda x: self.label_loss(probe.frozen.classify(x), probe.rows),
            eps=self.config.eps,
            steps=k,
        )
        if found > float(self.stage_best):
            self.stage_best.fill_(found)
            self.stale.zero_()
        else:
            self.stale += 1
        if int(self.stale) >= self.config.stage_patience and k < self.config.steps:
            self.stage += 1
            self.stage_best.fill_(-1.0)
            self.stale.zero_()
        return {**super().validate(), "stage": float(k), "stage_accuracy": found}


class Curriculum(VisualHardening):
    """Curriculum adversarial training: the inner attack starts at no step and grows to eight.

    Every batch mixes all strengths reached so far, so that weak attacks are not forgotten.

    Source: Cai et al., Curriculum Adversarial Training (IJCAI 2018), with batch mixing; the thesis
    (Normann, 2020) trains so for 0 to 8 steps. An epoch here is a third of the photos, and the
    patience is 3 such epochs; ``curriculum-thesis`` keeps whole epochs and 10.
    """

    name = "curriculum"
    config_class = CurriculumConfig
    objective_class = CurriculumObjective


class CurriculumThesis(Curriculum):
    """Curriculum adversarial training with the patience of the thesis: long."""

    name = "curriculum-thesis"
    config_class = ThesisConfig

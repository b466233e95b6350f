"""Robust training of an encoder: what the visual hardenings share.

Each batch is attacked before it is learned from. The inner attack works on a frozen copy of the
encoder: evaluation mode (running statistics of the norms, no dropout), no parameter gradients,
norms folded, bfloat16 where training has it. So it can change nothing of the encoder that learns.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from recsec.attacks.evasion import ascend
from recsec.errors import ConfigError, DataError
from recsec.hardening.base import Hardening
from recsec.hardening.visual.probe import Probe, step_size
from recsec.models import Encoder, ScheduleConfig, Training, frozen_copy
from recsec.models.trainer import fit
from recsec.models.visual.training import ImageBatch, PhotoObjective
from recsec.rng import Streams

if TYPE_CHECKING:
    from recsec.data.photos.split import PhotoSplit

__all__ = ["RobustConfig", "RobustObjective", "View", "VisualHardening"]

Loss: TypeAlias = Callable[[Tensor], Tensor]


class RobustConfig(ScheduleConfig):
    """Settings of every visual hardening: the inner attack, and how training goes."""

    eps: float = Field(0.05, gt=0, le=1, description="radius of the inner attack, of pixel range")
    steps: int = Field(2, gt=0, description="gradients per inner attack")
    epochs: int = Field(4, ge=0, description="length of the cosine schedule")
    lr: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.05, ge=0)
    patience: int = Field(100, gt=0, description="epochs without a better validation")


@dataclass(frozen=True)
class RobustBatch(ImageBatch):
    """A batch of photos and the seed of what its inner attack draws."""

    seed: int


@dataclass(frozen=True)
class View:
    """A batch as a method sees it.

    Attributes:
        batch: rows and moves.
        images: ``(B, 3, S, S)`` float32, moved.
        labels: ``(B,)`` int64 categories.
        frozen: the copy of the encoder that may be attacked.
        rng: draws everything random of this batch.
    """

    batch: ImageBatch
    images: Float[Tensor, "B 3 S S"]
    labels: Int[Tensor, " B"]
    frozen: Encoder
    rng: torch.Generator

    def ascend(
        self,
        loss: Loss,
        *,
        eps: float,
        steps: int,
        size: float | None = None,
        images: Tensor | None = None,
    ) -> Float[Tensor, "B 3 S S"]:
        """Images of the ball around the view where ``loss`` is higher, from a random start.

        Args:
            loss: of images, computed by ``frozen``.
            eps: radius.
            steps: gradients.
            size: of a step, by default ``step_size(eps, steps)``.
            images: by default all of the view.
        """
        center = self.images if images is None else images
        with torch.autocast(center.device.type, enabled=False):
            return ascend(
                loss,
                center,
                eps=eps,
                steps=steps,
                step_size=step_size(eps, steps) if size is None else size,
                rng=self.rng,
            )

    @torch.no_grad()
    def embedded(self) -> Float[Tensor, "B D"]:
        """The unit vectors of the clean images, by the frozen copy."""
        with torch.autocast(self.images.device.type, enabled=False):
            vectors: Tensor = self.frozen(self.images)
        return vectors


class RobustObjective(PhotoObjective):
    """The loss of a method on attacked batches; validated by an attack of its own.

    Validation attacks validation photos toward their nearest photo of another category and counts
    the neighbors that still are of the photo's own category.
    """

    config: RobustConfig

    def __init__(self, encoder: Encoder, split: PhotoSplit, config: RobustConfig) -> None:
        super().__init__(encoder, split)
        self.config = config

    @abstractmethod
    def loss(self, view: View) -> Float[Tensor, ""]:
        """What is lowered, the inner attack included."""

    def epoch(self, rng: np.random.Generator) -> Sequence[ImageBatch]:
        """The moved training photos in batches of this method's size, each with a seed."""
        plain = super().epoch(rng)
        rows = np.concatenate([batch.rows for batch in plain])
        moves = np.concatenate([batch.moves for batch in plain])
        count = max(1, -(-len(rows) // self.config.batch_size))
        seeds = rng.integers(2**62, size=count).tolist()
        parts = zip(np.array_split(rows, count), np.array_split(moves, count), seeds, strict=True)
        return [RobustBatch(part, move, seed) for part, move, seed in parts]

    def forward(self, batch: ImageBatch) -> Tensor:
        """Mean loss of a batch."""
        if not isinstance(batch, RobustBatch):
            raise TypeError(f"expected a RobustBatch, got a {type(batch).__name__}")
        place = self.encoder.device
        view = View(
            batch,
            self.images(batch).contiguous(memory_format=torch.channels_last),
            self.labels[torch.from_numpy(batch.rows)].to(place),
            self.frozen(),
            torch.Generator(device=place).manual_seed(batch.seed),
        )
        return self.loss(view)

    def frozen(self) -> Encoder:
        """A copy to attack, in the precision of the training step."""
        place = self.encoder.device.type
        fast = torch.is_autocast_enabled(place)
        dtype = torch.get_autocast_dtype(place) if fast else torch.float32
        return frozen_copy(self.encoder, dtype=dtype)

    def validate(self) -> dict[str, float]:
        """``attacked_precision@10`` decides; ``precision@10`` and ``accuracy`` are clean.

        Raises:
            ConfigError: nothing is left of a photo but zeros.
        """
        try:
            found = Probe.of(self.encoder, self.split).precision(eps=self.config.eps)
        except DataError as error:
            raise ConfigError(
                f"the encoder has collapsed: {error.message}", hint="lower lr, --set lr=..."
            ) from error
        return {"attacked_precision@10": found, **super().validate()}


class VisualHardening(Hardening[Encoder, "PhotoSplit"]):
    """A hardening of encoders. Subclasses name their objective."""

    start = "checkpoint"
    hardens = Encoder.name
    config: RobustConfig
    objective_class: ClassVar[type[RobustObjective]]

    def fit(self, model: Encoder, data: PhotoSplit, *, seed: int, training: Training) -> Encoder:
        """See ``Hardening.fit``."""
        objective = self.objective_class(copy.deepcopy(model), data, self.config)
        streams = Streams(seed, ("hardening", self.name))
        fit(objective, self.config, streams=streams, training=training)
        return objective.encoder.cpu()

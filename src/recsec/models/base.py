"""What a recommender is: the one contract that every model, ours or a plugin's, fulfills; and what
an encoder of photos is, whoever made it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    runtime_checkable,
)

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from recsec.data.catalog import Catalog
from recsec.data.sequences import Split, pad
from recsec.errors import TargetError
from recsec.types import IntArray, ItemId, Progress

__all__ = [
    "AnyEncoder",
    "BatchSize",
    "Epochs",
    "Incremental",
    "LearningRate",
    "ModelConfig",
    "Patience",
    "PhotoEncoder",
    "Precision",
    "Recommender",
    "ScheduleConfig",
    "Training",
    "WeightDecay",
    "check_scores",
    "mask_history",
    "top_k",
]

Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]


Epochs = Annotated[int, Field(ge=0, description="length of the cosine schedule")]
BatchSize = Annotated[int, Field(gt=0, description="examples per step")]
LearningRate = Annotated[float, Field(gt=0, description="peak learning rate of AdamW")]
WeightDecay = Annotated[float, Field(ge=0, description="of AdamW; biases and norms are left out")]
Patience = Annotated[
    int, Field(gt=0, description="epochs without a better validation before stopping")
]


class ModelConfig(BaseModel):
    """Settings of a model; each model has its own subclass. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ScheduleConfig(ModelConfig):
    """How long and how fast the training loop goes; what every trained model shares."""

    epochs: Epochs = 30
    batch_size: BatchSize = 64
    lr: LearningRate = 2e-3
    weight_decay: WeightDecay = 0.01
    warmup: float = Field(0.05, ge=0, lt=1, description="share of all steps that warm up")
    patience: Patience = 5


def mask_history(scores: Float[Tensor, "B N1"], histories: Int[Tensor, "B L"]) -> Tensor:
    """Set the scores of padding and of history items to -inf, in place."""
    scores.scatter_(1, histories, float("-inf"))
    scores[:, 0] = float("-inf")
    return scores


def check_scores(scores: Float[Tensor, "B C"]) -> None:
    """Scores are numbers, or -inf for what must not be listed.

    Raises:
        TargetError: one is NaN or plus infinity.
    """
    if bool((scores.isnan() | scores.isposinf()).any()):
        raise TargetError(
            "the recommender scores items with values that are not finite (NaN or infinity): "
            "its lists mean nothing",
            hint="train it again with a lower lr, or repair its scores",
        )


def top_k(scores: Float[Tensor, "B N1"], k: int) -> Int[Tensor, "B K"]:
    """The ``k`` best columns of each row, best first; ``k`` is cut at N.

    Where fewer than ``k`` items have a finite score (a history that holds nearly all items),
    the rest of the row is 0.

    Raises:
        TargetError: a score is NaN or plus infinity, which ``topk`` would put first.
    """
    values, indices = torch.topk(scores, min(k, scores.shape[1] - 1), dim=1)
    check_scores(values)
    return indices.masked_fill_(values == float("-inf"), 0)


@dataclass(frozen=True, kw_only=True)
class Training:
    """Where and how to train, as opposed to what.

    Attributes:
        out: folder for ``resume/``, ``history.json`` and ``snapshots/``; None keeps nothing.
        device: "auto", "cpu", "cuda" or "mps"; several devices through ``accelerate launch``.
        precision: of the matrix products; "auto" takes bfloat16 where the hardware has it.
        snapshots: how many evenly spaced epochs to keep.
        tensorboard: write scalars under ``out/tensorboard`` if TensorBoard is installed.
        progress: is told about every step.
    """

    out: Path | None = None
    device: str = "auto"
    precision: Precision = "auto"
    snapshots: int = 0
    tensorboard: bool = False
    progress: Progress | None = None


class Recommender(ABC):
    """Ranks the items of a catalog for histories.

    A subclass implements ``scores``, ``state`` and ``from_state``; it is trained by ``fit``.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[ModelConfig]]

    def __init__(self, catalog: Catalog, config: ModelConfig) -> None:
        self.catalog = catalog
        self.config = config

    @abstractmethod
    def scores(self, histories: IntArray) -> Float[Tensor, "B N1"]:
        """Scores of all items for each history.

        Args:
            histories: ``(B, L)`` int64 catalog indices, oldest first, zeros on the right. An empty
                row is allowed: it asks for a user of whom nothing is known.

        Returns:
            ``(B, N + 1)`` float32, higher is better. Column 0 (padding) is -inf. History items
            keep their scores: excluding them is the caller's choice.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """The learned tensors, by name, for ``model.safetensors``."""

    @classmethod
    @abstractmethod
    def from_state(cls, catalog: Catalog, config: Any, state: dict[str, Tensor]) -> Self:
        """Rebuild from ``state()``; a wrong shape or name raises ``CheckpointError``."""

    @classmethod
    @abstractmethod
    def fit(cls, split: Split, config: Any, *, seed: int, training: Training) -> Self:
        """Learn from the training part of ``split``; validation items only steer, test items
        are never seen.
        """

    def top_k(self, histories: IntArray, k: int, *, exclude_history: bool = True) -> IntArray:
        """The ``k`` best items for each history ``(B, L)``: ``(B, K)`` catalog indices.

        Ties go to no item in particular; a row is filled with 0 where the catalog runs out.
        """
        scores = self.scores(histories)
        if exclude_history:
            mask_history(scores, torch.from_numpy(np.ascontiguousarray(histories)))
        return top_k(scores, k).numpy()

    def recommend(
        self, histories: Sequence[Sequence[ItemId]], k: int, *, exclude_history: bool = True
    ) -> list[list[ItemId]]:
        """The ``k`` best items for histories of external ids, also of users never seen.

        Raises:
            DataError: an id is not in the catalog.
        """
        indices = pad(self.catalog.index(history) for history in histories)
        lists = self.top_k(indices, k, exclude_history=exclude_history)
        return [self.catalog.external(row) for row in lists]


@runtime_checkable
class Incremental(Protocol):
    """The optional capability of extending histories by one item without starting over."""

    def open(self, histories: IntArray) -> Any:
        """Encode ``(B, L)`` histories of one common length (no padding); returns the state."""
        ...

    def extend(self, state: Any, items: IntArray) -> Any:
        """The state after each row has one more item ``(B,)``. The old state is consumed."""
        ...

    def state_scores(self, state: Any) -> Tensor:
        """``(B, N + 1)``: what ``scores`` gives for the histories of the state."""
        ...


@runtime_checkable
class PhotoEncoder(Protocol):
    """Images ``(B, 3, H, W)`` in [0, 1] to vectors ``(B, D)``; similarity is the cosine.

    ``recsec.models.Encoder`` is one with heads and weights of ours; ``recsec.targets.visual`` opens
    those of others. An image's vector depends on that image only.
    """

    @property
    def size(self) -> int:
        """Side S of the images that it sees, in pixels; others are resized on the way."""

    @property
    def dim(self) -> int:
        """Width D of a vector."""

    @property
    def device(self) -> torch.device:
        """Where images have to be, and vectors are."""

    @property
    def gradients(self) -> bool:
        """Whether gradients of the vector by the pixels can be had."""

    def features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Vectors in float32, before they get unit norm."""

    def __call__(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Unit vectors in float32."""

    def eval(self) -> Self:
        """Evaluation mode."""

    def to(self, device: str) -> Self:
        """Move it; a black box stays where it is."""

    def frozen(self, dtype: torch.dtype = torch.float32) -> Self:
        """A copy for attacks and for embedding, as fast as may be; itself where there is none.

        Args:
            dtype: what the network may compute in while it searches.
        """

    def fingerprint(self) -> str:
        """A hash: equal for equal vectors."""


AnyEncoder = TypeVar("AnyEncoder", bound=PhotoEncoder)

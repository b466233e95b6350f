"""What a hardening is: the contract of every defense that is applied while training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from recsec.models import ModelConfig, Training

__all__ = ["Hardening", "Start"]

Model = TypeVar("Model")
Data = TypeVar("Data")

Start: TypeAlias = Literal["checkpoint", "recipe"]
"""``checkpoint``: training continues from the weights that are given. ``recipe``: only the
settings of the given model are used, and its weights are trained anew."""


class Hardening(ABC, Generic[Model, Data]):
    """Trains a model that resists an attack. Registered under ``recsec.hardenings``.

    The result is an ordinary model of the same architecture: whatever takes the given checkpoint
    takes the hardened one.

    Args:
        config: settings, of ``config_class``.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[ModelConfig]]
    start: ClassVar[Start]
    hardens: ClassVar[str]
    """Which models: ``encoder`` (of photos), or the kind of another checkpoint."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def fit(self, model: Model, data: Data, *, seed: int, training: Training) -> Model:
        """A hardened model; the given one stays as it is.

        Training goes through ``models.trainer.fit``, so with ``training.out`` a killed run
        continues and ends with the same bits. Test items are never seen.

        Raises:
            ConfigError: settings that do not fit the model or the data.
            CheckpointError: the saved state of a killed run is broken.
        """

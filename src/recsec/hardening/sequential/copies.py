"""What the hardenings of recommenders share: copies to train, a loop that keeps its last epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from recsec.data.sequences import Split
from recsec.hardening.base import Hardening
from recsec.models import Recommender, Training, load, save_checkpoint, train_into
from recsec.models.base import ModelConfig
from recsec.models.sequential.neural import NeuralConfig, NeuralRecommender
from recsec.models.sequential.objectives.ranking import Ranking
from recsec.models.trainer import Objective

__all__ = ["LastKept", "RecommenderHardening", "begin", "harden_recommender", "schedule"]


def begin(
    model: NeuralRecommender, generator: torch.Generator, *, scratch: bool
) -> NeuralRecommender:
    """A model of the same architecture: with new weights, or with a copy of the given ones."""
    fresh = type(model)(model.catalog, model.config)
    if scratch:
        fresh.initialize(generator)
    else:
        fresh.load_state_dict(model.state())
    return fresh


def schedule(model: NeuralRecommender, *, epochs: int, lr: float) -> NeuralConfig:
    """The schedule of a hardening: the model's own, with other length and rate, never cut short."""
    return model.config.model_copy(update={"epochs": epochs, "lr": lr, "patience": epochs + 1})


class LastKept(Objective):
    """An objective around the task of a target, whose last epoch is the one that is kept.

    Choosing the epoch by ranking quality would choose the one with the least defense.

    Args:
        task: what the target learns anyway.
    """

    passed: torch.Tensor

    def __init__(self, task: Ranking) -> None:
        super().__init__()
        self.task = task
        self.register_buffer("passed", torch.zeros(()))

    def validate(self) -> dict[str, float]:
        """The number of epochs, which decides, and how well the target still ranks."""
        return {"epoch": float(self.passed), **self.task.validate()}


class RecommenderHardening(Hardening[NeuralRecommender, Split]):
    """A hardening of a model of sequences that is trained by gradients.

    Args:
        config: settings, of ``config_class``.
    """

    start = "checkpoint"
    hardens = "recommender"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.facts: dict[str, Any] = {}
        """What ``fit`` found and the checkpoint has to keep, JSON-able."""


def harden_recommender(
    hardening: RecommenderHardening,
    model: NeuralRecommender,
    split: Split,
    *,
    seed: int = 0,
    training: Training | None = None,
    data: dict[str, Any] | None = None,
    given: str | None = None,
) -> Recommender:
    """Harden a recommender; with ``training.out`` the result is kept as a checkpoint.

    Its ``config.json`` also names the method, its settings and the model that was given. A folder
    of the same recipe is continued, or loaded if it is complete.

    Args:
        hardening: the method with its settings.
        model: stays as it is.
        split: training histories are learned; test items are never seen.
        data: what identifies the data, kept with the recipe.
        given: what identifies the given model, likewise.

    Raises:
        ConfigError: settings that do not fit.
        CheckpointError: the folder belongs to another recipe, or another process trains in it.
    """
    how = training or Training()
    config: ModelConfig = hardening.config
    recipe = {
        "model": model.name,
        "config": model.config.model_dump(mode="json"),
        "hardening": {"method": hardening.name, "settings": config.model_dump(mode="json")},
        "given": given,
        "seed": seed,
        "data": data or {},
    }

    def save(hardened: Recommender, folder: Path, facts: dict[str, Any]) -> None:
        save_checkpoint(hardened, folder, {**facts, **hardening.facts})

    return train_into(
        how,
        recipe,
        fit=lambda: hardening.fit(model, split, seed=seed, training=how),
        save=save,
        load=load,
    )

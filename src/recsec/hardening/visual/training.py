"""Harden the encoder of a checkpoint into another checkpoint folder, and what that costs."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from recsec.errors import ConfigError
from recsec.hardening.base import Hardening
from recsec.models import (
    Encoder,
    ModelConfig,
    Training,
    encoder_fingerprint,
    load_encoder,
    save_encoder,
    train_into,
)
from recsec.models.trainer import fit
from recsec.models.visual.training import PhotoObjective
from recsec.registry import registry
from recsec.rng import Streams
from recsec.types import Progress

if TYPE_CHECKING:
    from recsec.data.photos.split import PhotoSplit

__all__ = ["Clock", "clean_epoch_seconds", "harden", "hardening_class"]


def hardening_class(name: str, *, hardens: str) -> type[Hardening[Any, Any]]:
    """The hardening called ``name``.

    Raises:
        ConfigError: there is none, or it is for models of another kind than ``hardens``.
    """
    kind: type[Hardening[Any, Any]] = registry("hardenings").get(name)
    if kind.hardens != hardens:
        raise ConfigError(
            f"the hardening {name!r} is for a model of the kind {kind.hardens!r}; the given one is "
            f"of the kind {hardens!r}",
            hint="recsec list hardenings",
        )
    return kind


def harden(
    name: str,
    encoder: Encoder,
    split: PhotoSplit,
    config: ModelConfig | None = None,
    *,
    seed: int = 0,
    training: Training | None = None,
    data: dict[str, Any] | None = None,
) -> Encoder:
    """Harden ``encoder`` with the method ``name``; with ``training.out`` the result is kept.

    The folder is an ordinary checkpoint of an encoder; its ``config.json`` also names the method,
    its settings and the encoder that was given. A folder of the same recipe is continued, or
    loaded if it is complete.

    Args:
        encoder: stays as it is.
        split: train rows are learned, validation rows choose the epoch, test rows are not seen.
        config: by default the method's own.
        data: what identifies the data (name, fingerprint), kept with the recipe.

    Raises:
        ConfigError: no such method, or settings that do not fit.
        CheckpointError: the folder belongs to another recipe, or another process trains in it.
    """
    kind = hardening_class(name, hardens=Encoder.name)
    chosen = kind.config_class() if config is None else config
    how = training or Training()

    def save(hardened: Encoder, folder: Path, facts: dict[str, Any]) -> None:
        save_encoder(hardened, folder, facts, items=split.photos.table)

    hardened: Encoder = train_into(
        how,
        {
            "model": Encoder.name,
            "config": encoder.config.model_dump(mode="json"),
            "hardening": {
                "method": name,
                "config": chosen.model_dump(mode="json"),
                "given": encoder_fingerprint(encoder),
            },
            "seed": seed,
            "data": data or {},
        },
        fit=lambda: kind(chosen).fit(encoder, split, seed=seed, training=how),
        save=save,
        load=load_encoder,
    )
    return hardened


def clean_epoch_seconds(
    encoder: Encoder, split: PhotoSplit, *, seed: int = 0, training: Training | None = None
) -> float:
    """Seconds of one ordinary epoch of training ``encoder`` on these photos, validation included.

    It is run on a copy and thrown away: the unit in which a hardening's cost is told.
    """
    how = training or Training()
    objective = PhotoObjective(copy.deepcopy(encoder), split)
    once = encoder.config.model_copy(update={"epochs": 1})
    quiet = Training(device=how.device, precision=how.precision)
    start = now()
    fit(objective, once, streams=Streams(seed, ("clean epoch",)), training=quiet)
    return now() - start


def now() -> float:
    """Seconds of work: of the processors, where they do it, so that other programs don't count."""
    return time.perf_counter() if torch.accelerator.is_available() else time.process_time()


@dataclass
class Clock:
    """Listens to the progress of a training and measures the steps that this process makes.

    Attributes:
        report: hears the same.
    """

    report: Progress
    _first: tuple[int, float] | None = field(default=None, init=False)
    _last: tuple[int, int] | None = field(default=None, init=False)

    def __call__(self, what: str, done: int, total: int) -> None:
        """A step has been made."""
        if self._first is None:
            self._first = (done, now())
        self._last = (done, total)
        self.report(what, done, total)

    def total(self) -> float | None:
        """Seconds of all epochs, to be asked for when training has ended.

        From the epochs of this process, validation included; None where it made no two steps.
        """
        if self._first is None or self._last is None or self._last[0] == self._first[0]:
            return None
        done, total = self._last
        return (now() - self._first[1]) / (done - self._first[0]) * total

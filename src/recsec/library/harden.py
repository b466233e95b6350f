"""Hardening from Python: a checkpoint in, one that resists out, measured before and after."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsec.errors import ConfigError, UsageError
from recsec.library.opening import open_checkpoint_folder
from recsec.library.photos import (
    checkpoint_folder,
    encoder_source,
    open_encoder_folder,
    open_split,
    place_encoder,
)
from recsec.library.recommender import validation
from recsec.library.results import Estimates

if TYPE_CHECKING:
    from recsec.data import Dataset, Dialect, PhotoSplit
    from recsec.models import Encoder, Training
    from recsec.stats import Estimate
    from recsec.types import Progress

__all__ = ["Hardened", "harden", "harden_encoder", "harden_recommender"]

SHOWN = ("accuracy", "precision@1", "precision@10", "map@r")


@dataclass(frozen=True)
class Hardened:
    """What ``harden`` returns.

    Attributes:
        method: how.
        start: whether it began from the checkpoint or from its recipe.
        checkpoint: the folder of the hardened model.
        before: quality of the given model on held-out items or photos.
        after: the same of the hardened one.
        synthetic: whether the data were made up.
        cost: of photos: what it took, in epochs of the given model's training.
        notes: what a reader of the numbers must know.
    """

    method: str
    start: str
    checkpoint: Path
    before: Estimates
    after: Estimates
    synthetic: bool
    cost: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def harden(
    method: str,
    model: str,
    data: Dataset | str,
    out: Path | str,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Hardened:
    """Harden a checkpoint; see ``recsec harden``.

    Args:
        method: ``recsec list hardenings``; it says whether it is about encoders.
        model: the checkpoint folder.
        data: interactions from ``open_data``, or the name of data as ``--data`` takes it.
        out: the folder of the new checkpoint; the same work resumes.
        settings: of the method.
        seed: of all random streams.
        device: where to train.
        progress: is told how it goes.

    Raises:
        UsageError: the words name something else.
        ConfigError: no such method for this kind of model, or a setting that does not fit.
        CheckpointError: there is no such checkpoint.
    """
    from recsec.data import is_photos, load
    from recsec.hardening import hardening_class
    from recsec.models import Training
    from recsec.settings import checked

    photos = isinstance(data, str) and is_photos(data)
    kind = hardening_class(method, hardens="encoder" if photos else "recommender")
    chosen = checked(kind.config_class, settings or {}, where=f"settings of {method}")
    training = Training(out=Path(out), device=device, progress=progress)
    if photos:
        found = harden_encoder(method, model, str(data), chosen, seed=seed, training=training)
    else:
        dataset = load(data) if isinstance(data, str) else data
        found = harden_recommender(method, model, dataset, chosen, seed=seed, training=training)
    if found is None:
        raise UsageError("only the first process has a result", hint="recsec harden says it")
    return found


def harden_recommender(
    method: str, model: str, data: Dataset, settings: Any, *, seed: int, training: Training
) -> Hardened | None:
    """Harden a recommender of sequences; None where this is not the first of several processes.

    Raises:
        ConfigError: the model is not trained by gradients, or the plugin is none of recommenders.
    """
    from recsec import hardening, models
    from recsec.models.sequential.neural import NeuralRecommender

    kind = hardening.hardening_class(method, hardens="recommender")
    given = open_checkpoint_folder(model)
    if not isinstance(given, NeuralRecommender):
        raise ConfigError(
            f"{method} hardens models that are trained by gradients, not {given.name}",
            hint="train bert4rec, meanpool, narm or sasrec",
        )
    tool = kind(settings)
    if not isinstance(tool, hardening.RecommenderHardening):
        raise ConfigError(f"the plugin {method} is no RecommenderHardening")
    split = data.split()
    weights = (Path(model).expanduser() / "model.safetensors").read_bytes()
    hardened = hardening.harden_recommender(
        tool,
        given,
        split,
        seed=seed,
        training=training,
        data={"name": data.name, "fingerprint": data.fingerprint},
        given=hashlib.sha256(weights).hexdigest(),
    )
    if not models.is_first_process():
        return None
    models.remember(training.out, data)
    return Hardened(
        method=method,
        start="recipe" if getattr(settings, "scratch", False) else kind.start,
        checkpoint=Path(str(training.out)),
        before=validation(given, split, seed=seed, progress=training.progress),
        after=validation(hardened, split, seed=seed, progress=training.progress),
        synthetic=data.synthetic,
    )


def harden_encoder(
    method: str,
    model: str,
    data: str,
    settings: Any,
    *,
    seed: int,
    training: Training,
    dialect: Dialect | None = None,
) -> Hardened | None:
    """Harden an encoder; None where this is not the first of several processes."""
    from dataclasses import replace

    from recsec import hardening, models

    kind = hardening.hardening_class(method, hardens="encoder")
    given, folder, report = open_encoder_folder(model), checkpoint_folder(model), training.progress
    split = open_split(data, report, dialect=dialect)
    note = encoder_source(model).warning(split.photos)
    clock = hardening.Clock(report or _silent)
    how = replace(training, progress=clock)
    facts = {"name": split.photos.name, "fingerprint": split.photos.fingerprint}
    hardened = hardening.harden(method, given, split, settings, seed=seed, training=how, data=facts)
    if not models.is_first_process():
        return None
    cost = _cost(clock, given, split, how)
    for encoder in (given, hardened):
        place_encoder(encoder, training.device)
    out = Path(str(training.out))
    return Hardened(
        method=method,
        start=kind.start,
        checkpoint=out,
        cost=cost,
        before=_measured(given, split, folder, seed, report),
        after=_measured(hardened, split, out, seed, report),
        synthetic=split.photos.synthetic,
        notes=() if note is None else (note,),
    )


def _silent(what: str, done: int, total: int) -> None:
    """Nobody wants to know."""


def _cost(clock: Any, given: Encoder, split: PhotoSplit, how: Training) -> dict[str, Any]:
    """What hardening took, in epochs and in trainings of the given encoder."""
    from recsec.hardening import clean_epoch_seconds

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return {"clean_epochs": None, "reason": "several processes trained together"}
    seconds = clock.total()
    if seconds is None:
        return {"clean_epochs": None, "reason": "this process made no two steps of the training"}
    unit = clean_epoch_seconds(given, split, training=how)
    epochs = given.config.epochs
    return {
        "seconds": seconds,
        "clean_epoch_seconds": unit,
        "clean_epochs": seconds / unit,
        "clean_trainings": seconds / unit / epochs if epochs else None,
    }


def _measured(
    encoder: Encoder, split: PhotoSplit, folder: Path, seed: int, report: Progress | None
) -> Estimates:
    """Retrieval and accuracy on the held-out photos."""
    from recsec.evaluation import evaluate_encoder
    from recsec.models import catalog_features
    from recsec.rng import Streams

    features = catalog_features(encoder, split.photos, folder, progress=report)
    found = evaluate_encoder(encoder, split, features=features, progress=report)
    estimates: dict[str, Estimate] = found.estimates(Streams(seed).child("harden").numpy("metrics"))
    protocol = f"{len(split.test):,} held-out photos, catalog of {len(split.catalog):,}"
    return Estimates({name: estimates[name] for name in SHOWN}, protocol=protocol)

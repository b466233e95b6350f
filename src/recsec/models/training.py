"""Train a model by name into a checkpoint folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate.state import PartialState
from filelock import FileLock, Timeout

from recsec import __version__
from recsec.data.sequences import Split
from recsec.errors import CheckpointError
from recsec.models.base import ModelConfig, Recommender, Training
from recsec.models.checkpoint import FORMAT, load, read_config, save_checkpoint
from recsec.models.trainer import uses_cpu
from recsec.registry import registry
from recsec.runs import atomic_write_json, discard_unfinished

__all__ = ["is_first_process", "train", "train_into"]

Model = TypeVar("Model")


def train(
    name: str,
    split: Split,
    config: ModelConfig | None = None,
    *,
    seed: int = 0,
    training: Training | None = None,
    data: dict[str, Any] | None = None,
) -> Recommender:
    """Train the model called ``name`` on a split; with ``training.out`` the checkpoint is kept.

    A folder that holds the same recipe is continued, or loaded if it is complete.

    Args:
        config: settings, by default the model's own.
        data: what identifies the data (name, fingerprint), kept with the recipe.

    Raises:
        ConfigError: no such model, or settings that do not fit.
        CheckpointError: the folder belongs to another recipe or holds an unfinished training of
            another version, or another process trains in it.
    """
    kind: type[Recommender] = registry("models").get(name)
    chosen = kind.config_class() if config is None else config
    how = training or Training()
    return train_into(
        how,
        {"model": name, "config": chosen.model_dump(mode="json"), "seed": seed, "data": data or {}},
        fit=lambda: kind.fit(split, chosen, seed=seed, training=how),
        save=save_checkpoint,
        load=load,
    )


def train_into(
    training: Training,
    recipe: dict[str, Any],
    *,
    fit: Callable[[], Model],
    save: Callable[[Model, Path, dict[str, Any]], None],
    load: Callable[[Path], Model],
) -> Model:
    """Train whatever ``fit`` trains into the folder ``training.out``; without one, just train.

    One process at a time; a folder of the same recipe is continued, or loaded if it is complete.

    Args:
        training: where and how; precision and snapshots become part of the recipe.
        recipe: JSON-able; everything that decides the result (model, config, seed, data).
        fit: trains, resuming from ``training.out / "resume"``.
        save: writes ``(model, folder, facts)``, ``model.safetensors`` last.
        load: reads it back.

    Raises:
        CheckpointError: the folder belongs to another recipe or holds an unfinished training of
            another version, or another process trains in it.
    """
    out = training.out
    if out is None:
        return fit()
    how = {"precision": training.precision, "snapshots": training.snapshots}
    recipe = {**recipe, **how, "processes": int(os.environ.get("WORLD_SIZE", "1"))}
    out.mkdir(parents=True, exist_ok=True)
    first = is_first_process()
    try:
        with FileLock(out / ".lock", timeout=0) if first else nullcontext():
            if first:
                discard_unfinished(out)
            with PartialState(cpu=uses_cpu(training.device)).main_process_first():
                to_do = _claim(out, recipe)
            if not to_do:
                return load(out)
            model = fit()
            versions = {"recsec": __version__, "torch": torch.__version__}
            facts = {**recipe, "versions": versions, "threads": torch.get_num_threads()}
            if first:
                save(model, out, facts)
    except Timeout as error:
        raise CheckpointError(f"another process is training in {out}") from error
    return model


def is_first_process() -> bool:
    """False in the further processes of a distributed launch: they neither write nor speak."""
    return int(os.environ.get("RANK", "0")) == 0


def _claim(folder: Path, recipe: dict[str, Any]) -> bool:
    """Mark a folder as this recipe's; whether there is still something to train.

    A finished training of any version is taken; an unfinished one is continued only by the version
    that began it, because what training does may differ between versions. One of which no epoch was
    finished leaves the folder to any other recipe.

    Raises:
        CheckpointError: it is another recipe's, or an unfinished one of another version.
    """
    to_do = not (folder / "model.safetensors").exists()
    claim = {"format": FORMAT, "recsec": __version__, **recipe}
    begun = not to_do or any((folder / "resume").glob("epoch-*"))
    if not (folder / "config.json").exists() or not (begun or _claimed(folder) == claim):
        atomic_write_json(folder / "config.json", claim)
        return to_do
    found = read_config(folder)
    known = {"processes": 1, **found}  # which older versions did not write down
    different = [key for key in recipe if known.get(key) != recipe[key]]
    if different:
        raise CheckpointError(
            f"{folder} holds a checkpoint of another recipe (it differs in {', '.join(different)})",
            hint="choose another --out, or delete the folder",
        )
    began = found.get("recsec")
    if to_do and began != __version__:
        raise CheckpointError(
            f"{folder} holds an unfinished training of recsec {began}; this is {__version__}",
            hint=f"finish it with recsec {began}, choose another --out, or delete the folder",
        )
    return to_do


def _claimed(folder: Path) -> dict[str, Any] | None:
    """What an unfinished training wrote down about itself; None where that is damaged."""
    try:
        return read_config(folder)
    except CheckpointError:
        return None

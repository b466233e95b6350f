"""Checkpoint folders: tensors as safetensors, everything else as text. Nothing is unpickled.

FOLDER/model.safetensors   the learned tensors; written last, so its presence means "complete"
FOLDER/config.json         model, settings, and the recipe: data, seed, versions
FOLDER/items.parquet       external ids, titles, attributes
FOLDER/card.md             the same for people
FOLDER/data.json         where its data came from, so that --data may be left out
FOLDER/history.json, resume/, snapshots/    left by training
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from recsec import __version__
from recsec.data.catalog import Catalog
from recsec.errors import CheckpointError, ConfigError, RecsecError
from recsec.models.base import Recommender
from recsec.models.tensors import load_tensors, tensor_bytes
from recsec.registry import registry
from recsec.runs import atomic_write_bytes, atomic_write_text

__all__ = [
    "load",
    "read_config",
    "read_tensors",
    "refuse_not_finite",
    "save_checkpoint",
    "weights_digest",
]

FORMAT = 1
RETRAIN = "delete that file and run the command that made it again, or bring a whole copy"


def save_checkpoint(model: Recommender, folder: Path, info: dict[str, Any]) -> None:
    """Write ``model`` to ``folder``.

    Args:
        info: JSON-able facts about the training (data, seed, metrics), kept in ``config.json``.

    Raises:
        CheckpointError: the weights are not finite.
    """
    tensors = {name: tensor.contiguous() for name, tensor in model.state().items()}
    refuse_not_finite(tensors, where=f"the {model.name} that was to be saved in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "format": FORMAT,
        "recsec": __version__,
        "model": model.name,
        "config": model.config.model_dump(mode="json"),
        **info,
    }
    model.catalog.save(folder / "items.parquet")
    atomic_write_text(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
    atomic_write_text(folder / "card.md", card(config, len(model.catalog)))
    atomic_write_bytes(folder / "model.safetensors", tensor_bytes(tensors))


def card(config: dict[str, Any], items: int) -> str:
    """What a person wants to know of a checkpoint, as Markdown."""
    lines = [f"# {config['model']}", "", f"A recommender of {items} items, by recsec.", ""]
    for key in ("data", "seed", "metrics", "versions"):
        if key in config:
            lines.append(f"- {key}: `{json.dumps(config[key], sort_keys=True)}`")
    lines += ["", "Settings:", "", "| setting | value |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in sorted(config["config"].items())]
    return "\n".join(lines) + "\n"


def read_config(folder: Path) -> dict[str, Any]:
    """The contents of ``config.json``.

    Raises:
        CheckpointError: the folder is no checkpoint, or one of another format.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} is not a checkpoint folder: it has no config.json",
            hint="recsec train MODEL --data NAME --out DIR makes one",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    if not isinstance(config, dict) or not {"model", "config"} <= set(config):
        raise CheckpointError(f"{path} lacks 'model' or 'config'")
    if not isinstance(config["model"], str) or not isinstance(config["config"], dict):
        raise CheckpointError(f"{path}: 'model' is no name, or 'config' no table of settings")
    if config.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {config.get('format')!r}; this version reads {FORMAT}"
        )
    return config


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of ``model.safetensors``.

    Raises:
        CheckpointError: the file is not there yet, or broken.
    """
    path = folder / "model.safetensors"
    try:
        return load_tensors(path, hint=RETRAIN)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} has no model.safetensors: its training has not finished",
            hint="run the training command again, it continues",
        ) from error


def refuse_not_finite(tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Weights that are no numbers make a model that is no recommender, and no verdict.

    Args:
        tensors: by name.
        where: whose they are, for the message.

    Raises:
        CheckpointError: a value is NaN or infinite.
    """
    broken = sorted(name for name, tensor in tensors.items() if not tensor.isfinite().all())
    if broken:
        raise CheckpointError(
            f"{where} holds values that are not finite (NaN or infinity), in {broken[0]}"
            f"{f' and {len(broken) - 1} more tensors' if broken[1:] else ''}",
            hint="train it again with a lower lr",
        )


def load(folder: Path | str) -> Recommender:
    """Read the checkpoint folder of a recommender of histories.

    Raises:
        CheckpointError: it is missing, incomplete, broken, of another format, an encoder, or holds
            values that are not finite.
    """
    folder = Path(folder)
    config = read_config(folder)
    if config["model"] == "encoder":
        raise CheckpointError(
            f"{folder} holds an encoder of photos; a recommender of histories was expected",
            hint=f"recsec similar --model {folder} --data NAME --item ID shows its neighbors",
        )
    try:
        kind: type[Recommender] = registry("models").get(config["model"])
        settings = kind.config_class.model_validate(config["config"])
    except (ConfigError, ValidationError) as error:
        raise CheckpointError(f"{folder / 'config.json'} does not fit: {error}") from error
    catalog = Catalog.load(folder / "items.parquet")
    tensors = read_tensors(folder)
    refuse_not_finite(tensors, where=str(folder / "model.safetensors"))
    try:
        return kind.from_state(catalog, settings, tensors)
    except RecsecError:
        raise
    except Exception as error:  # whatever is wrong with them, it is the same news to the user
        raise CheckpointError(
            f"settings, items and tensors of {folder} do not fit each other "
            f"({type(error).__name__}: {error})",
            hint="one of the three files is of another checkpoint, or broken",
        ) from error


def weights_digest(folder: Path) -> str:
    """SHA-256 of the learned tensors, in hexadecimal.

    Raises:
        OSError: there are none.
    """
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()

"""Checkpoint folders of encoders: the same files as a recommender's, for photos.

FOLDER/model.safetensors   the weights; written last, so its presence means "complete"
FOLDER/config.json         "model": "encoder", settings, categories, attributes, and the recipe
FOLDER/items.parquet       id, title, category and attributes of the catalog
FOLDER/card.md             the same for people
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl

from recsec import __version__
from recsec.errors import CheckpointError, RunError
from recsec.models.base import PhotoEncoder
from recsec.models.checkpoint import FORMAT, card, read_config, read_tensors, refuse_not_finite
from recsec.models.tensors import tensor_bytes, unfilled
from recsec.models.visual.backbone import PretrainedBody, rebuilt
from recsec.models.visual.encoder import Encoder, EncoderConfig
from recsec.runs import atomic_write_bytes, atomic_write_text, read_table, write_table

__all__ = ["encoder_fingerprint", "load_encoder", "load_items", "save_encoder"]


def save_encoder(
    encoder: Encoder, folder: Path, info: dict[str, Any], *, items: pl.DataFrame
) -> None:
    """Write ``encoder`` to ``folder``.

    Args:
        info: JSON-able facts about the training (data, seed, method), kept in ``config.json``.
        items: the catalog as ``Photos.table`` has it: id, title, category, attributes.

    Raises:
        CheckpointError: the weights are not finite.
    """
    tensors = {name: tensor.cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    refuse_not_finite(tensors, where=f"the encoder that was to be saved in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "format": FORMAT,
        "recsec": __version__,
        **info,
        "model": encoder.name,
        "config": encoder.config.model_dump(mode="json"),
        "categories": list(encoder.categories),
        "attributes": [[name, list(values)] for name, values in encoder.attributes.items()],
    }
    if isinstance(encoder.body, PretrainedBody):
        config["architecture"] = encoder.body.architecture
    write_table(folder / "items.parquet", items)
    atomic_write_text(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
    atomic_write_text(folder / "card.md", card(config, len(items)))
    atomic_write_bytes(folder / "model.safetensors", tensor_bytes(tensors))


def load_encoder(folder: Path | str) -> Encoder:
    """Read the encoder of a checkpoint folder, in evaluation mode on the CPU.

    Raises:
        CheckpointError: it is missing, incomplete, broken, a recommender of histories, or holds
            values that are not finite.
    """
    folder = Path(folder)
    found = read_config(folder)
    if found["model"] != Encoder.name:
        raise CheckpointError(
            f"{folder} holds a {found['model']!r} recommender of histories; an encoder of photos "
            "was expected",
            hint="recsec train encoder --data fashion --out DIR makes one",
        )
    tensors = read_tensors(folder)
    try:
        config = EncoderConfig.model_validate(found["config"])
        attributes = {name: tuple(values) for name, values in found["attributes"]}
        described = found.get("architecture")
        body = None if described is None else rebuilt(described, config.size)
        with unfilled() if body is None else nullcontext():  # settings of others take no memory
            encoder = Encoder(config, tuple(found["categories"]), attributes, body=body)
    except Exception as error:  # whatever is wrong with it, it is the same news to the user
        raise CheckpointError(f"{folder / 'config.json'} does not fit: {error}") from error
    encoder.load_tensors(tensors, where=str(folder / "model.safetensors"))
    return encoder.eval()


def load_items(folder: Path | str) -> pl.DataFrame:
    """The catalog that the encoder was trained on: id, title, category, attributes.

    Raises:
        CheckpointError: the table is missing or broken.
    """
    path = Path(folder) / "items.parquet"
    try:
        return read_table(path, ours=False)
    except RunError as error:
        raise CheckpointError(f"cannot read the item table: {error.message}") from error


def encoder_fingerprint(encoder: PhotoEncoder) -> str:
    """A hash of settings and weights: equal for equal embeddings."""
    return encoder.fingerprint()

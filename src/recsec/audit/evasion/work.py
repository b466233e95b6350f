"""The tasks of an evasion audit: module-level functions of JSON data, as in ``work``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from pydantic import ValidationError
from safetensors.torch import save

from recsec.attacks.evasion import evade, open_attack
from recsec.audit.evasion.scene import (
    features_file,
    open_catalog,
    open_encoder,
    open_scene,
    the_pairs,
)
from recsec.errors import ConfigError
from recsec.evaluation import embed, evaluate_encoder
from recsec.hardening import harden, hardening_class
from recsec.models import Encoder, ExactIndex, Training, encoder_fingerprint, train_encoder
from recsec.models.base import ModelConfig
from recsec.registry import registry
from recsec.rng import Streams
from recsec.runs import atomic_write_bytes
from recsec.types import Progress

__all__ = [
    "attack_chunk",
    "draw_pairs",
    "make_model",
    "measure_model",
    "quality_file",
    "read_chunk",
]


def named(progress: Progress, name: str) -> Progress:
    """Progress under the name of the task: several report side by side."""

    def report(what: str, done: int, total: int) -> None:
        detail = what.partition(" | ")[2]
        progress(f"{name} | {detail}" if detail else name, done, total)

    return report


def model_settings(kind: type[ModelConfig], values: dict[str, Any], what: str) -> ModelConfig:
    """Settings of a training or hardening.

    Raises:
        ConfigError: they do not fit.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise ConfigError(
            f"settings of {what}: {where}: {fault['msg']}",
            hint=f"there are: {', '.join(kind.model_fields)}",
        ) from error


def make_model(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Train or harden a model into ``payload["folder"]``."""
    catalog = open_catalog(payload["data"])
    training = Training(
        out=Path(payload["folder"]),
        device=payload["device"],
        progress=named(progress, payload["name"]),
    )
    data = {"name": catalog.photos.name, "fingerprint": catalog.photos.fingerprint}
    if payload["train"] is not None:
        kind: type[Encoder] = registry("encoders").get(payload["train"])
        config = model_settings(kind.config_class, payload["settings"], payload["train"])
        model = train_encoder(
            catalog.split,
            config,  # type: ignore[arg-type]
            seed=payload["seed"],
            training=training,
            data=data,
        )
    else:
        method = hardening_class(payload["harden"], hardens=Encoder.name)
        model = harden(
            payload["harden"],
            open_encoder(payload["base"], "cpu"),
            catalog.split,
            model_settings(method.config_class, payload["settings"], payload["harden"]),
            seed=payload["seed"],
            training=training,
            data=data,
        )
    return {"fingerprint": encoder_fingerprint(model)}


def quality_file(run: Path, model: str) -> Path:
    """Where retrieval and classification per query are kept."""
    return run / "quality" / f"{model}.parquet"


def measure_model(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Embed the whole catalog and measure retrieval and classification on the held-out photos."""
    run, name = Path(payload["run"]), payload["id"]
    catalog = open_catalog(payload["data"])
    encoder = open_encoder(payload["folder"], payload["device"])
    said = named(progress, f"embed {payload['name']}")
    every = np.arange(len(catalog.photos))
    features = embed(encoder, catalog.photos, every, normalize=False, progress=said)
    found = evaluate_encoder(encoder, catalog.split, features=features)
    kept = features[torch.from_numpy(catalog.rows)]
    atomic_write_bytes(features_file(run, name), save({"features": kept}))
    table = io.BytesIO()
    columns = {key: np.asarray(values) for key, values in found.columns.items()}
    pl.DataFrame(columns).write_parquet(table)
    atomic_write_bytes(quality_file(run, name), table.getvalue())
    return {
        "fingerprint": encoder_fingerprint(encoder),
        "size": encoder.size,
        "width": encoder.dim,
        "weights": sum(weights.numel() for weights in encoder.parameters()),
        "backbone": encoder.config.backbone,
        "hubness": found.hubness,
        "catalog": found.catalog,
        "protocol": found.protocol,
    }


def draw_pairs(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The pairs that every attack gets."""
    from safetensors.torch import load_file
    from torch.nn import functional as F  # noqa: N812

    features = load_file(features_file(Path(payload["run"]), payload["first"]))["features"]
    pairs = the_pairs(
        open_catalog(payload["data"]), payload, ExactIndex(F.normalize(features, dim=1))
    )
    return {
        "attackers": pairs.attackers.tolist(),
        "targets": pairs.targets.tolist(),
        "policy": pairs.policy,
    }


def chunk_file(run: Path, task: str) -> Path:
    return run / "evasion" / f"{task}.parquet"


def attack_chunk(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Attack and judge some pairs; their table is in ``evasion/TASK.parquet``."""
    numbers = np.array(payload["numbers"], dtype=np.int64)
    attack = open_attack(payload["attack"], payload["settings"])
    found = evade(
        attack,
        open_scene(payload, numbers),
        eps=payload["eps"],
        rng=Streams(payload["seed"]).child(payload["attack"]),
        project=payload["project"],
        keys=numbers.tolist(),
        progress=named(progress, payload["id"]),
    )
    table = io.BytesIO()
    found.table.with_columns(pl.Series("pair", numbers)).write_parquet(table)
    atomic_write_bytes(chunk_file(Path(payload["run"]), payload["id"]), table.getvalue())
    return {"pairs": len(numbers)}


def read_chunk(run: Path, task: str) -> pl.DataFrame:
    """The table of a finished chunk: ``Evaded.table`` and ``pair``."""
    return pl.read_parquet(chunk_file(run, task))

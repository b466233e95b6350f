"""The tasks of an evasion audit: functions that leave files in the run directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import torch

from recsec.attacks.evasion import Transfer, evade, open_attack
from recsec.audit.engines import named
from recsec.audit.evasion.scene import (
    features_file,
    open_catalog,
    open_encoder,
    open_scene,
    quality_file,
    read_features,
    the_pairs,
)
from recsec.audit.evasion.tasks import (
    AboutModel,
    Attacking,
    Drawing,
    Drawn,
    Made,
    Making,
    Measuring,
    Tried,
)
from recsec.evaluation import embed, evaluate_encoder
from recsec.hardening import harden, hardening_class
from recsec.models import (
    Encoder,
    ExactIndex,
    PhotoEncoder,
    Training,
    encoder_fingerprint,
    load_encoder,
    tensor_bytes,
    train_encoder,
)
from recsec.registry import registry
from recsec.rng import Streams
from recsec.runs import REDO, atomic_write_bytes, read_table, write_table
from recsec.settings import checked
from recsec.types import Progress

__all__ = [
    "attack_chunk",
    "chunk_file",
    "draw_pairs",
    "make_model",
    "measure_model",
    "read_chunk",
]


def make_model(told: Making, progress: Progress) -> Made:
    """Train or harden a model into a checkpoint folder."""
    catalog = open_catalog(told.data)
    training = Training(
        out=Path(told.folder),
        device=told.device,
        progress=named(progress, told.name),
    )
    data = {"name": catalog.photos.name, "fingerprint": catalog.photos.fingerprint}
    if told.train is not None:
        kind: type[Encoder] = registry("encoders").get(told.train)
        config = checked(kind.config_class, told.settings, where=f"settings of {told.train}")
        model = train_encoder(
            catalog.split,
            config,
            seed=told.seed,
            training=training,
            data=data,
        )
    elif told.harden is not None:
        method = hardening_class(told.harden, hardens=Encoder.name)
        model = harden(
            told.harden,
            load_encoder(Path(told.base)),
            catalog.split,
            checked(method.config_class, told.settings, where=f"settings of {told.harden}"),
            seed=told.seed,
            training=training,
            data=data,
        )
    return Made(fingerprint=encoder_fingerprint(model))


def measure_model(told: Measuring, progress: Progress) -> AboutModel:
    """Embed the whole catalog and measure retrieval and classification on the held-out photos."""
    run, name = Path(told.run), told.id
    catalog = open_catalog(told.data)
    source = open_encoder(told.folder, told.device)
    encoder = source.encoder
    said = named(progress, f"embed {told.name}")
    every = np.arange(len(catalog.photos))
    features = embed(encoder, catalog.photos, every, normalize=False, progress=said)
    source.check(features, catalog.photos, catalog.rows)
    found = evaluate_encoder(encoder, catalog.split, features=features)
    kept = features[torch.from_numpy(catalog.rows)]
    atomic_write_bytes(run / features_file(name), tensor_bytes({"features": kept}))
    columns = {key: np.asarray(values) for key, values in found.columns.items()}
    write_table(run / quality_file(name), pl.DataFrame(columns))
    return AboutModel(
        fingerprint=encoder_fingerprint(encoder),
        size=encoder.size,
        width=encoder.dim,
        weights=_weights(encoder),
        backbone=encoder.config.backbone if isinstance(encoder, Encoder) else told.folder,
        hubness=found.hubness,
        catalog=found.catalog,
        protocol=found.protocol,
    )


def _weights(encoder: PhotoEncoder) -> int | None:
    """How many there are, where that can be seen."""
    if not isinstance(encoder, torch.nn.Module):
        return None
    return sum(one.numel() for one in encoder.parameters())


def draw_pairs(told: Drawing, progress: Progress) -> Drawn:
    """The pairs that every attack gets."""
    from torch.nn import functional as F  # noqa: N812

    index = None
    if told.first:
        features = read_features(Path(told.run) / features_file(told.first))
        index = ExactIndex(F.normalize(features, dim=1))
    pairs = the_pairs(open_catalog(told.data), told, index)
    return Drawn(
        attackers=tuple(pairs.attackers.tolist()),
        targets=tuple(pairs.targets.tolist()),
        policy=pairs.policy,
    )


def chunk_file(task: str) -> str:
    """Where in the run directory the table of a chunk is."""
    return f"evasion/{task}.parquet"


def attack_chunk(told: Attacking, progress: Progress) -> Tried:
    """Attack and judge some pairs; their table is in ``evasion/TASK.parquet``."""
    numbers = np.array(told.numbers, dtype=np.int64)
    attack = open_attack(told.attack, told.settings)
    scene = open_scene(told, numbers)
    found = evade(
        attack,
        scene,
        eps=told.eps,
        rng=Streams(told.seed).child(told.attack),
        project=told.project,
        keys=numbers.tolist(),
        surrogate=attack.ensemble(scene.device) if isinstance(attack, Transfer) else None,
        progress=named(progress, told.id),
    )
    table = found.table.with_columns(pl.Series("pair", numbers))
    write_table(Path(told.run) / chunk_file(told.id), table)
    return Tried(pairs=len(numbers))


def read_chunk(run: Path, task: str) -> pl.DataFrame:
    """The table of a finished chunk: ``Evaded.table`` and ``pair``.

    Raises:
        RunError: it is damaged.
    """
    return read_table(run / chunk_file(task), hint=REDO)

"""Made-up photos of 16 pixels and a small encoder of them; what an attack achieves on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from recsec.attacks.evasion import Apgd, Scene, evade, sample_pairs
from recsec.data import PhotoSplit, load_photos, split_photos
from recsec.models import Encoder, EncoderConfig, ExactIndex, Training
from recsec.models.visual.embedding import embed
from recsec.models.visual.training import train_encoder
from recsec.rng import Streams

SMALL = EncoderConfig(
    size=16,
    stem=8,
    widths=(16, 32),
    epochs=12,
    batch_size=32,
    lr=4e-3,
    shift=2,
    attribute_weight=0.1,
)
CPU = Training(device="cpu", precision="float32")


@pytest.fixture(scope="session")
def split() -> PhotoSplit:
    return split_photos(load_photos("photos:items=360,categories=6"), validation=0.1)


@pytest.fixture(scope="session")
def encoder(split: PhotoSplit) -> Encoder:
    """Trained without any defense. Tests must not change it."""
    return train_encoder(split, SMALL, training=CPU).eval()


@pytest.fixture(scope="session")
def success(split: PhotoSplit) -> Callable[[Encoder, float], float]:
    """``success(encoder, eps)``: share of 48 test pairs that reach rank 3."""

    def measure(encoder: Encoder, eps: float) -> float:
        index = ExactIndex(embed(encoder, split.photos, split.catalog))
        at = np.searchsorted(split.catalog, split.test)
        labels = split.labels[split.catalog]
        pairs = sample_pairs("cross-category", at, labels, 48, rng=Streams(0))
        pixels = split.photos.pixels(split.catalog[pairs.attackers], encoder.size)
        scene = Scene(encoder, index, pairs, torch.from_numpy(pixels))
        attack = Apgd(Apgd.config_class(steps=20, precision="float32"))
        found = evade(attack, scene, eps=eps, rng=Streams(1), stop_rank=3)
        return float((found.table["rank_after"] <= 3).mean())

    return measure

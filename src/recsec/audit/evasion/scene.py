"""What every evasion task opens: photos, split, pairs, a model and its index."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.evasion import PairPolicy, Pairs, Scene, popular_rows, read_pairs, sample_pairs
from recsec.audit.evasion.tasks import Drawing, OnPairs
from recsec.data import Photos, PhotoSplit, load_photos, split_photos
from recsec.errors import DataError
from recsec.models import ExactIndex, PhotoEncoder, load_tensors, resolve_device
from recsec.rng import Streams
from recsec.runs import REDO
from recsec.targets.visual import EncoderSource, open_source
from recsec.types import IntArray

__all__ = [
    "POPULAR",
    "Catalog",
    "features_file",
    "open_catalog",
    "open_encoder",
    "open_scene",
    "quality_file",
    "read_features",
    "the_pairs",
]

POPULAR = "popular-target"


@dataclass(frozen=True, eq=False)
class Catalog:
    """The photos that are ranked, numbered 0..N-1 within the catalog of the split.

    Attributes:
        photos: all photos of the data set.
        split: which of them train and which are held out.
        rows: ``(N,)`` row in ``photos`` of every place of the catalog.
    """

    photos: Photos
    split: PhotoSplit
    rows: IntArray

    @property
    def labels(self) -> IntArray:
        """``(N,)`` category number of every place."""
        return self.split.labels[self.rows]

    def places(self, rows: IntArray) -> IntArray:
        """Places in the catalog of rows of ``photos``."""
        return np.searchsorted(self.rows, rows).astype(np.int64)

    def held_out(self, which: str) -> IntArray:
        """Places of the test or validation photos."""
        return self.places(self.split.test if which == "test" else self.split.validation)

    def item(self, place: int) -> tuple[int | str, str]:
        """Id and title."""
        row = self.photos.table.row(int(self.rows[place]), named=True)
        return row["id"], str(row["title"])


@lru_cache(maxsize=1)
def _open(name: str, mirror: str | None) -> Catalog:
    photos = load_photos(name)
    split = split_photos(photos)
    return Catalog(photos, split, split.catalog)


def open_catalog(name: str) -> Catalog:
    """The photos of a plan; the last ones stay open.

    Raises:
        DataError: they are missing or broken.
    """
    return _open(name, os.environ.get("RECSEC_MIRROR"))


def features_file(model: str) -> str:
    """Where in the run directory the features of the whole catalog are kept."""
    return f"features/{model}.safetensors"


def quality_file(model: str) -> str:
    """Where in the run directory retrieval and classification per query are kept."""
    return f"quality/{model}.parquet"


def read_features(path: Path) -> Tensor:
    """The features of the whole catalog ``(N, D)``, before they get unit norm.

    Raises:
        CheckpointError: the file is damaged.
    """
    return load_tensors(path, hint=REDO)["features"]


@lru_cache(maxsize=2)
def _open_model(folder: str, features: str, device: str) -> tuple[PhotoEncoder, ExactIndex]:
    encoder = open_encoder(folder, device).encoder
    vectors = F.normalize(read_features(Path(features)), dim=1)
    return encoder, ExactIndex(vectors.to(encoder.device))


def open_encoder(folder: str, device: str) -> EncoderSource:
    """An encoder, whoever made it, on a device."""
    source = open_source(folder)
    source.encoder.to(resolve_device(device)).eval()
    return source


def the_pairs(catalog: Catalog, told: Drawing, index: ExactIndex | None) -> Pairs:
    """The pairs of a plan, the same for every model and attack.

    Args:
        catalog: whose held-out photos are drawn.
        told: how many, by which policy, of which photos.
        index: of the first model, for popular targets.

    Raises:
        DataError: there are not so many pairs.
    """
    policy, count = told.policy, told.count
    if policy.endswith(".csv"):

        def rows_of(ids: list[str]) -> IntArray:
            known = [catalog.photos.parse_id(text) for text in ids]
            return catalog.places(catalog.photos.rows(known))

        pairs = read_pairs(Path(policy), rows_of)
        if len(pairs) < count:
            raise DataError(
                f"{policy} holds {len(pairs)} pairs, the plan asks for {count}",
                hint="ask for fewer pairs",
            )
        return pairs.first(count)
    rows = catalog.held_out(told.split)
    popular = popular_rows(index, rows) if policy == POPULAR and index is not None else None
    known = cast("PairPolicy", policy)  # the plan refused what is neither this nor a file
    return sample_pairs(known, rows, catalog.labels, count, rng=Streams(told.seed), popular=popular)


def open_scene(told: OnPairs, pairs: IntArray) -> Scene:
    """A model with its index and some of the pairs.

    Args:
        told: of the task.
        pairs: ``(B,)`` pair numbers.
    """
    catalog = open_catalog(told.data)
    encoder, index = _open_model(told.folder, told.features, told.device)
    whole = told.pairs
    attackers = np.array(whole.attackers, dtype=np.int64)[pairs]
    targets = np.array(whole.targets, dtype=np.int64)[pairs]
    size = told.size or encoder.size
    return Scene(
        encoder,
        index,
        Pairs(attackers, targets, whole.policy),
        pixels(catalog, attackers, size),
        pixels(catalog, targets, size),
    )


def pixels(catalog: Catalog, places: IntArray, size: int) -> Tensor:
    """Photos ``(B, 3, size, size)`` uint8 of places of the catalog."""
    return torch.from_numpy(np.array(catalog.photos.pixels(catalog.rows[places], size)))

"""Encoders and photos from Python: open, neighbors, evade."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from recsec.errors import ConfigError, DataError, UsageError
from recsec.sources import is_folder, kind_of_source, needs
from recsec.types import ItemId

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

    from recsec.data import Dialect, Photos, PhotoSplit
    from recsec.models import Encoder, PhotoEncoder
    from recsec.serving.photos import Shop
    from recsec.targets.visual import EncoderSource
    from recsec.types import Progress

__all__ = [
    "OpenEncoder",
    "checkpoint_folder",
    "encoder_source",
    "open_encoder",
    "open_encoder_folder",
    "open_photos",
    "open_shop",
    "open_split",
    "place_encoder",
]


def checkpoint_folder(spec: str) -> Path:
    """The folder that ``--model`` names.

    Raises:
        UsageError: it names a target, not a folder.
    """
    from recsec.targets.visual import is_source

    if is_source(spec) or not is_folder(spec):
        needs("harden photos", spec, kind_of_source(spec, "evasion").gives - {"weights"})
    return Path(os.path.expanduser(spec))


def open_encoder_folder(spec: str) -> Encoder:
    """The encoder in the checkpoint folder that ``--model`` names.

    Raises:
        UsageError: it names a target, not a folder.
        CheckpointError: there is no checkpoint, a broken one, or one of a recommender.
    """
    from recsec.models import load_encoder

    return load_encoder(checkpoint_folder(spec))


def encoder_source(spec: str) -> EncoderSource:
    """The encoder that ``--model`` names: a checkpoint folder of ours, or one of others.

    Raises:
        UsageError: it names an address, which has no vectors.
        CheckpointError: there is no checkpoint, a broken one, or one of a recommender.
        ConfigError, TargetError: an encoder of others that does not fit, or fails.
    """
    from recsec.targets.visual import open_source

    return open_source(spec)


def place_encoder(encoder: PhotoEncoder, device: str) -> None:
    """Move the encoder to where ``--device`` says.

    Raises:
        ConfigError: there is no such device.
    """
    from recsec.models import resolve_device

    try:
        encoder.to(resolve_device(device))
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {device}: {error}", hint="--device cpu") from error


def open_photos(
    data: str, progress: Progress | None = None, *, dialect: Dialect | None = None
) -> Photos:
    """The photos that ``--data`` names: ``fashion``, ``photos:items=200`` or a folder of images.

    Args:
        data: the name.
        progress: is told about the work.
        dialect: what there is to say about the table of labels.

    Raises:
        UsageError: it names interactions, or nothing that is known.
        DataError: missing or broken data.
    """
    from recsec.data import KNOWN, is_photos, load_photos

    made_up = data.partition(":")[0] == "synthetic"
    if made_up or data in KNOWN or (Path(data).is_file() and not is_photos(data)):
        raise UsageError(
            f"--data {data} names interactions; this needs photos",
            hint="--data fashion, --data photos:items=600,categories=12 or a folder of images",
        )
    return load_photos(data, dialect=dialect, progress=progress)


def open_split(
    data: str, progress: Progress | None = None, *, dialect: Dialect | None = None
) -> PhotoSplit:
    """The photos that ``--data`` names, split the way every command splits them.

    Args:
        data: the name.
        progress: is told about the work.
        dialect: what there is to say about the table of labels.

    Raises:
        UsageError: it names interactions, or nothing that is known.
        DataError: missing or broken data, or no category with enough photos.
    """
    from recsec.data import split_photos

    return split_photos(open_photos(data, progress, dialect=dialect))


def open_shop(model: str, data: str, *, progress: Progress | None = None) -> Shop:
    """An encoder and the photos that it ranks, with the screens of uploads, to be served.

    Args:
        model: an encoder, as ``--model`` takes it.
        data: photos, as ``--data`` takes them.
        progress: is told how it goes.

    Raises:
        UsageError: the words name something else.
        CheckpointError: there is no checkpoint, a broken one, or one of a recommender.
        DataError: missing or broken data, or too few photos to fit thresholds on.
    """
    from recsec.models import frozen_copy
    from recsec.registry import registry
    from recsec.rng import Streams
    from recsec.screening import catalog_of
    from recsec.serving.photos import Shop

    source = encoder_source(model)
    encoder = frozen_copy(source.encoder)
    split = open_split(data, progress)
    features = source.features(split.photos, rows=split.catalog, progress=progress)
    screens = [kind(kind.config_class()) for kind in registry("screens").items().values()]
    catalog = catalog_of(encoder, split, features)
    return Shop.fit(encoder, split, catalog, screens, rng=Streams(0).child("screen"))


@dataclass(frozen=True, eq=False, repr=False)
class OpenEncoder:
    """What ``open_encoder`` returns.

    Attributes:
        source: where it is from.
        photos: the catalog; ``photos.table`` is a polars table of ids, titles and categories.
        notes: what a reader of its numbers must know.
    """

    source: EncoderSource
    photos: Photos
    notes: tuple[str, ...] = field(default=())

    @property
    def folder(self) -> Path | None:
        """The checkpoint; None for an encoder of others."""
        return self.source.checkpoint

    @property
    def encoder(self) -> PhotoEncoder:
        """The network: for code below the front door."""
        return self.source.encoder

    def __repr__(self) -> str:
        return f"OpenEncoder({self.source.spec}, {len(self.photos):,} photos of {self.photos.name})"

    @cached_property
    def vectors(self) -> Tensor:
        """``(N, D)`` unit vectors of all photos, in the order of ``photos.table``."""
        from torch.nn import functional as F  # noqa: N812

        return F.normalize(self.source.features(self.photos), dim=1)

    def neighbors(self, item: ItemId, k: int = 10) -> pl.DataFrame:
        """The ``k`` items nearest to one, itself left out; exact, by cosine.

        Returns:
            ``place`` (from 1), ``id``, ``title``, ``category`` and ``cosine``.

        Raises:
            DataError: there is no such item, or no other.
        """
        import numpy as np
        import torch

        from recsec.models import ExactIndex

        row = int(self.photos.rows([item])[0])
        if len(self.photos) < 2:
            raise DataError(f"{self.photos.name} holds one photo: it has no neighbors")
        found, cosines = ExactIndex(self.vectors).neighbors(
            self.vectors[[row]], min(k, len(self.photos) - 1), exclude=torch.tensor([row])
        )
        table = self.photos.table.select("id", "title", "category")[found[0].tolist()]
        places = np.arange(1, len(table) + 1)
        return table.with_columns(place=places, cosine=cosines[0].double().cpu().numpy()).select(
            "place", "id", "title", "category", "cosine"
        )


def open_encoder(
    model: str, data: str | Photos, *, progress: Progress | None = None
) -> OpenEncoder:
    """An encoder and the photos that it ranks.

    Args:
        model: an encoder, as ``--model`` takes it.
        data: photos, or their name as ``--data`` takes it.
        progress: is told how it goes.

    Raises:
        UsageError: the words name something else.
        CheckpointError: there is no checkpoint, a broken one, or one of a recommender.
        DataError: missing or broken data.
    """
    source = encoder_source(model)
    photos = open_photos(data, progress) if isinstance(data, str) else data
    notes = [note for note in (source.warning(photos), source.words) if note]
    return OpenEncoder(source, photos, tuple(notes))

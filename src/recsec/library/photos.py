"""Encoders and photos from Python: open, neighbors, evade."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsec.errors import ConfigError, DataError, UsageError
from recsec.sources import is_folder
from recsec.types import ItemId

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

    from recsec.data import Dialect, Photos, PhotoSplit
    from recsec.models import Encoder
    from recsec.types import Progress

__all__ = [
    "OpenEncoder",
    "checkpoint_folder",
    "open_encoder",
    "open_encoder_folder",
    "open_photos",
    "open_split",
    "other_data",
    "place_encoder",
]


def checkpoint_folder(spec: str) -> Path:
    """The folder that ``--model`` names.

    Raises:
        UsageError: it names a target, not a folder.
    """
    if not is_folder(spec):
        raise UsageError(
            f"--model {spec}: photos need the checkpoint folder of an encoder",
            hint="recsec train encoder --data fashion --out DIR makes one",
        )
    return Path(os.path.expanduser(spec))


def open_encoder_folder(spec: str) -> Encoder:
    """The encoder in the checkpoint folder that ``--model`` names.

    Raises:
        UsageError: it names a target, not a folder.
        CheckpointError: there is no checkpoint, a broken one, or one of a recommender.
    """
    from recsec.models import load_encoder

    return load_encoder(checkpoint_folder(spec))


def place_encoder(encoder: Encoder, device: str) -> None:
    """Move the encoder to where ``--device`` says.

    Raises:
        ConfigError: there is no such device.
    """
    import torch

    name = device
    if device == "auto":
        name = torch.accelerator.current_accelerator().type if _accelerated() else "cpu"  # type: ignore[union-attr]
    try:
        encoder.to(name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {device}: {error}", hint="--device cpu") from error


def _accelerated() -> bool:
    import torch

    return torch.accelerator.is_available()


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


def other_data(folder: Path, photos: Photos) -> str | None:
    """A warning if the encoder was trained on other photos: what is held out may have been seen."""
    from recsec.models import read_config

    trained: dict[str, Any] = read_config(folder).get("data") or {}
    if trained.get("fingerprint") in (None, photos.fingerprint):
        return None
    return (
        f"warning: {folder} was trained on {trained.get('name')!r} with other photos or labels "
        f"than {photos.name!r} has now; some may have been seen in training"
    )


@dataclass(frozen=True, eq=False, repr=False)
class OpenEncoder:
    """What ``open_encoder`` returns.

    Attributes:
        folder: the checkpoint.
        encoder: the network: for code below the front door.
        photos: the catalog; ``photos.table`` is a polars table of ids, titles and categories.
        notes: what a reader of its numbers must know.
    """

    folder: Path
    encoder: Encoder
    photos: Photos
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        return f"OpenEncoder({self.folder}, {len(self.photos):,} photos of {self.photos.name})"

    @cached_property
    def vectors(self) -> Tensor:
        """``(N, D)`` unit vectors of all photos, in the order of ``photos.table``."""
        from torch.nn import functional as F  # noqa: N812

        from recsec.models import catalog_features

        return F.normalize(catalog_features(self.encoder, self.photos, self.folder), dim=1)

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
        model: a checkpoint folder, as ``--model`` takes it.
        data: photos, or their name as ``--data`` takes it.
        progress: is told how it goes.

    Raises:
        UsageError: the words name something else.
        CheckpointError: there is no checkpoint, a broken one, or one of a recommender.
        DataError: missing or broken data.
    """
    encoder, folder = open_encoder_folder(model), checkpoint_folder(model)
    photos = open_photos(data, progress) if isinstance(data, str) else data
    note = other_data(folder, photos)
    return OpenEncoder(folder, encoder, photos, () if note is None else (note,))

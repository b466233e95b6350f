"""How commands open encoders and catalogs of photos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsec.cli.shared.output import note
from recsec.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from recsec.data import Dialect, Photos, PhotoSplit
    from recsec.models import Encoder
    from recsec.types import Progress

__all__ = [
    "checkpoint_folder",
    "open_embedded",
    "open_encoder",
    "open_photos",
    "open_split",
    "place_encoder",
    "refuse_columns",
    "warn_of_other_data",
]


def checkpoint_folder(spec: str) -> Path:
    """The folder that ``--model`` names.

    Raises:
        UsageError: it names a target, not a folder.
    """
    if spec.startswith(("http://", "https://", "callable:")) or spec.endswith(".toml"):
        raise UsageError(
            f"--model {spec}: photos need the checkpoint folder of an encoder",
            hint="recsec train encoder --data fashion --out DIR makes one",
        )
    return Path(os.path.expanduser(spec))


def open_encoder(spec: str) -> Encoder:
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
    data: str, report: Progress | None = None, *, dialect: Dialect | None = None
) -> Photos:
    """The photos that ``--data`` names.

    Args:
        data: the name.
        report: is told about the work.
        dialect: what the options say about the table of labels.

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
    return load_photos(data, dialect=dialect, progress=report)


def open_split(
    data: str, report: Progress | None = None, *, dialect: Dialect | None = None
) -> PhotoSplit:
    """The photos that ``--data`` names, split the way every command splits them.

    Args:
        data: the name.
        report: is told about the work.
        dialect: what the options say about the table of labels.

    Raises:
        UsageError: it names interactions, or nothing that is known.
        DataError: missing or broken data, or no category with enough photos.
    """
    from recsec.data import split_photos

    return split_photos(open_photos(data, report, dialect=dialect))


def open_embedded(
    model: str,
    encoder: Encoder,
    data: str,
    report: Progress,
    *,
    dialect: Dialect | None = None,
) -> tuple[PhotoSplit, Tensor]:
    """The photos that ``--data`` names, split, and the features ``(N, D)`` of all of them.

    Args:
        model: the checkpoint folder, where features are kept.
        encoder: what is in it.
        data: names the photos.
        report: is told about the work.
        dialect: what the options say about the table of labels.

    Raises:
        UsageError: it names interactions, or nothing that is known.
        DataError: missing or broken data, or no category with enough photos.
    """
    from recsec.models import catalog_features

    split = open_split(data, report, dialect=dialect)
    folder = checkpoint_folder(model)
    warn_of_other_data(folder, split.photos)
    return split, catalog_features(encoder, split.photos, folder, progress=report)


def refuse_columns(columns: str | None) -> None:
    """Where the data are photos.

    Raises:
        UsageError: ``--columns`` was given.
    """
    if columns is not None:
        raise UsageError("--columns names columns of interactions; the data are photos")


def warn_of_other_data(folder: Path, photos: Photos) -> None:
    """Say so if the encoder was trained on other photos: what is held out may have been seen."""
    from recsec.models import read_config

    trained: dict[str, Any] = read_config(folder).get("data") or {}
    if trained.get("fingerprint") not in (None, photos.fingerprint):
        note(
            f"warning: {folder} was trained on {trained.get('name')!r} with other photos or labels "
            f"than {photos.name!r} has now; some may have been seen in training"
        )

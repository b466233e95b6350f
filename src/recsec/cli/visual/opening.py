"""How commands open encoders and catalogs of photos, and what they say of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recsec.cli.shared.output import note
from recsec.errors import UsageError
from recsec.library.photos import checkpoint_folder, open_split, other_data

if TYPE_CHECKING:
    from torch import Tensor

    from recsec.data import Dialect, Photos, PhotoSplit
    from recsec.models import Encoder
    from recsec.types import Progress

__all__ = ["open_embedded", "refuse_columns", "warn_of_other_data"]


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
    """Say so if the encoder was trained on other photos."""
    warning = other_data(folder, photos)
    if warning is not None:
        note(warning)

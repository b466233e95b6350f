"""How commands open encoders and catalogs of photos, and what they say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsec.cli.shared.output import note
from recsec.errors import UsageError
from recsec.library.photos import open_split

if TYPE_CHECKING:
    from torch import Tensor

    from recsec.data import Dialect, Photos, PhotoSplit
    from recsec.targets.visual import EncoderSource
    from recsec.types import Progress

__all__ = ["open_embedded", "refuse_columns", "tell_of"]


def open_embedded(
    source: EncoderSource,
    data: str,
    report: Progress,
    *,
    dialect: Dialect | None = None,
) -> tuple[PhotoSplit, Tensor]:
    """The photos that ``--data`` names, split, and the features ``(N, D)`` of all of them.

    Args:
        source: the encoder.
        data: names the photos.
        report: is told about the work.
        dialect: what the options say about the table of labels.

    Raises:
        UsageError: it names interactions, or nothing that is known.
        DataError: missing or broken data, or no category with enough photos.
        TargetError: an encoder of others fails, or its ranks are not the user's.
    """
    split = open_split(data, report, dialect=dialect)
    tell_of(source, split.photos)
    return split, source.features(split.photos, rows=split.catalog, progress=report)


def refuse_columns(columns: str | None) -> None:
    """Where the data are photos.

    Raises:
        UsageError: ``--columns`` was given.
    """
    if columns is not None:
        raise UsageError("--columns names columns of interactions; the data are photos")


def tell_of(source: EncoderSource, photos: Photos) -> None:
    """Say so if the encoder was trained on other photos; of one of others, what it is shown."""
    for words in (source.warning(photos), source.words):
        if words:
            note(words)

"""The user's own recommenders and encoders, to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recsec.data import Dataset
from recsec.errors import ConfigError, DataError
from recsec.evaluation import as_answerer
from recsec.evaluation.answers import check_catalog
from recsec.library.opening import open_guarded, open_source
from recsec.library.photos import open_encoder, place_encoder
from recsec.trying.lists import ListBench
from recsec.trying.photos import PhotoBench
from recsec.types import Answerer, Progress

__all__ = ["open_lists", "open_pictures"]

MOST = 6
"""Lists that are shown side by side."""


def open_lists(
    models: Mapping[str, str],
    data: Dataset,
    *,
    guards: Sequence[Mapping[str, Any]] = (),
    authorised: bool = False,
) -> ListBench:
    """Recommenders of sequences.

    Args:
        models: what to call each, and the words that open it; the first is compared with.
        data: the items, and people whose histories can be taken.
        guards: adds the first model once more, as it answers through these.
        authorised: the owners of targets beyond this machine agreed.

    Raises:
        UsageError, CheckpointError, TargetError: one does not open.
        ConfigError: too many.
        DataError: one ranks other items than the data hold.
    """
    _few(len(models) + bool(guards))
    split = data.split()
    answers: list[tuple[str, Answerer]] = []
    for name, spec in models.items():
        source, _ = open_source(spec, data, authorised=authorised)
        check_catalog(source, split)
        answers.append((name, as_answerer(source)))
        if guards and len(answers) == 1:
            names = " + ".join([name, *(str(table["name"]) for table in guards)])
            answers.append((names, open_guarded(spec, guards, data)))
    return ListBench(answers, split, data=data.name, synthetic=data.synthetic)


def open_pictures(
    models: Mapping[str, str], data: str, *, device: str, progress: Progress
) -> PhotoBench:
    """Encoders of photos.

    Args:
        models: what to call each, and its checkpoint folder.
        data: the photos.
        device: where to compute.
        progress: is told about photos that are embedded.

    Raises:
        UsageError, CheckpointError: one does not open.
        ConfigError: too many, or no such device.
        DataError: missing or broken photos, or too few for an attack.
    """
    _few(len(models))
    photos: Any = data
    encoders = []
    for name, spec in models.items():
        found = open_encoder(spec, photos, progress=progress)
        photos = found.photos
        place_encoder(found.encoder, device)
        features = found.source.features(photos, progress=progress)
        encoders.append((name, found.encoder, features))
    if len(photos) < 3:
        raise DataError(
            f"{photos.name} holds {len(photos)} photos: an attack needs a third one in the list",
            hint="take a larger catalog",
        )
    return PhotoBench(photos, encoders)


def _few(count: int) -> None:
    if count > MOST:
        raise ConfigError(f"{count} recommenders: the page shows {MOST} side by side at most")

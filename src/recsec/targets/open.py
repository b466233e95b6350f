"""From the words of a user to a target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

from recsec.data import load_as
from recsec.data.catalog import Catalog
from recsec.errors import ConfigError
from recsec.models import resolve_device
from recsec.sources import kind_of_source
from recsec.targets.base import Target
from recsec.targets.callable import CallableTarget
from recsec.targets.foreign import open_scores
from recsec.targets.guarded import GuardedFile, guarded_target, open_checkpoint, read_guarded
from recsec.targets.http.client import HttpTarget
from recsec.targets.local import LocalTarget
from recsec.targets.onnx.recommender import open_onnx
from recsec.types import IntArray

__all__ = ["open_target"]


def open_target(
    spec: str,
    catalog: Catalog,
    *,
    authorised: bool = False,
    counts: IntArray | None = None,
    device: str = "cpu",
) -> Target:
    """A target from any of the sources that ``recsec.sources`` lists for sequences.

    A TOML file describes an HTTP API, or a source behind guards (``recsec.targets.guarded``). A
    source that scores all items, and a checkpoint, is a ``LocalTarget`` around its recommender.

    Args:
        spec: the user's words.
        catalog: the items of the data set. A checkpoint must have been trained on them.
        authorised: ``--i-am-authorised``: an HTTP target off this machine may be asked.
        counts: ``(N + 1,)`` how often each item was chosen, if known: a history of no items then
            gets what is popular, whatever the source makes of it.
        device: where a checkpoint ranks, as ``--device`` says it.

    Raises:
        ConfigError: the words have no known form, or a config does not fit.
        UsageError: an HTTP target off this machine without ``authorised``.
        TargetError: the target does not fit the catalog, or there is none to import.
        CheckpointError: a missing or broken checkpoint.
    """
    kind = kind_of_source(spec, "extraction").name
    if kind in ("callable", "python-callable"):
        return CallableTarget.from_spec(spec, catalog, counts=counts)
    if kind in ("scores", "python-scores"):
        return LocalTarget(open_scores(spec, catalog), counts=counts)
    if kind in ("onnx", "onnx-file"):
        return LocalTarget(open_onnx(spec, catalog), counts=counts)
    if kind == "guarded":
        file = read_guarded(Path(spec).expanduser())
        if file is not None:
            return _open_guarded(file, catalog, authorised=authorised, counts=counts, device=device)
    if kind in ("toml", "address"):
        api = HttpTarget.from_spec(spec, catalog, authorised=authorised)
        api.counts = counts
        return api
    found = open_checkpoint(Path(spec).expanduser(), catalog)
    if isinstance(found, nn.Module):
        found.to(resolve_device(device))
    return LocalTarget(found, counts=counts)


def _open_guarded(
    file: GuardedFile, catalog: Catalog, *, authorised: bool, counts: IntArray | None, device: str
) -> Target:
    """The target that a file describes, over the items of ``catalog``.

    Args:
        file: the description.
        catalog: the items.
        authorised: as ``open_target`` takes it, for an API behind guards.
        counts: as ``open_target`` takes it; those of the data that the file names stand in.
        device: as ``open_target`` takes it.
    """
    if kind_of_source(file.source, "extraction").name == "guarded":
        raise ConfigError(
            f"{file.source} has guards already", hint="name all guards in one file, in their order"
        )
    train = None
    if file.data is not None:
        split = load_as(file.data, file.reading).split()
        if not np.array_equal(split.catalog.ids, catalog.ids):
            raise ConfigError(f"the data {file.data!r} of the guards holds other items")
        train = split.train
        counts = train.counts if counts is None else counts
    found = open_target(file.source, catalog, authorised=authorised, counts=counts)
    return guarded_target(found, file.guards, train=train, name=file.source)

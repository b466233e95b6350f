"""From the words of a user to a target."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsec.data.catalog import Catalog
from recsec.errors import TargetError
from recsec.targets.base import Target
from recsec.targets.callable import PREFIX, CallableTarget
from recsec.targets.http import HttpTarget

__all__ = ["open_target"]


def open_target(spec: str, catalog: Catalog, *, authorised: bool = False) -> Target:
    """A target from ``callable:module:function``, a URL, a TOML file or a checkpoint folder.

    Args:
        spec: the user's words.
        catalog: the items of the data set. A checkpoint must have been trained on them.
        authorised: ``--i-am-authorised``: an HTTP target off this machine may be asked.

    Raises:
        ConfigError: the words have no known form, or a config does not fit.
        UsageError: an HTTP target off this machine without ``authorised``.
        TargetError: the target does not fit the catalog, or there is none to import.
        CheckpointError: a missing or broken checkpoint.
    """
    if spec.startswith(PREFIX):
        return CallableTarget.from_spec(spec, catalog)
    if spec.startswith(("http://", "https://")) or spec.endswith(".toml"):
        return HttpTarget.from_spec(spec, catalog, authorised=authorised)
    from recsec.models import load
    from recsec.targets.local import LocalTarget

    path = Path(spec).expanduser()
    recommender = load(path)
    if not np.array_equal(recommender.catalog.ids, catalog.ids):
        raise TargetError(
            f"the checkpoint {path} knows {len(recommender.catalog)} items, the data set "
            f"{len(catalog)}, and they are not the same in the same order",
            hint="name the data set and filters that the checkpoint was trained with",
        )
    return LocalTarget(recommender)

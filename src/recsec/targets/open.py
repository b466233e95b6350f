"""From the words of a user to a target."""

from __future__ import annotations

from pathlib import Path

from recsec.data.catalog import Catalog
from recsec.targets.base import Target
from recsec.targets.callable import PREFIX, CallableTarget
from recsec.targets.http.client import HttpTarget

__all__ = ["open_target"]


def open_target(spec: str, catalog: Catalog, *, authorised: bool = False) -> Target:
    """A target from ``callable:module:function``, a URL, a TOML file or a checkpoint folder.

    A TOML file describes an HTTP API, or a checkpoint behind guards (``recsec.targets.guarded``).

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
    if spec.startswith(("http://", "https://")):
        return HttpTarget.from_spec(spec, catalog, authorised=authorised)
    from recsec.targets.guarded import open_checkpoint, open_guarded, read_guarded
    from recsec.targets.local import LocalTarget

    path = Path(spec).expanduser()
    if spec.endswith(".toml"):
        file = read_guarded(path)
        if file is not None:
            return open_guarded(file, catalog)
        return HttpTarget.from_spec(spec, catalog, authorised=authorised)
    return LocalTarget(open_checkpoint(path, catalog))

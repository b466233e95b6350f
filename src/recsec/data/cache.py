"""Where archives lie: the mirror folder, else the per-user cache."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from recsec.data.known import KnownData
from recsec.errors import DataError

__all__ = ["cache_folder", "locate", "mirrored"]


def cache_folder() -> Path:
    """The per-user folder of archives; ``RECSEC_CACHE`` names another one."""
    named = os.environ.get("RECSEC_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("recsec")) / "data"


def mirrored(data: KnownData) -> Path | None:
    """The archive in the folder that ``RECSEC_MIRROR`` names, if it is there."""
    folder = os.environ.get("RECSEC_MIRROR")
    path = Path(folder) / data.archive if folder else None
    return path if path is not None and path.is_file() else None


def locate(data: KnownData, *, source: str | Path | None = None) -> Path:
    """The archive of a known data set: ``source``, the mirror, or the cache, in this order.

    Raises:
        DataError: it is in none of them.
    """
    if source is not None:
        if "://" in str(source):
            raise DataError(
                f"loading never downloads {source}",
                hint=f"recsec data get {data.name} --from {source}",
            )
        path = Path(source)
        if not path.is_file():
            raise DataError(f"there is no file {path}")
        return path
    mirror = mirrored(data)
    if mirror is not None:
        return mirror
    cached = cache_folder() / data.name / data.archive
    if not cached.is_file():
        raise DataError(
            f"{data.name} is not in the cache ({cached.parent})",
            hint=f"recsec data get {data.name}" + ("" if data.url else " --from PATH"),
        )
    return cached

"""The per-user cache of archives, and the receipts that say what lies in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import platformdirs
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from recsec.data.sources.known import KnownData
from recsec.errors import DataError
from recsec.runs.atomic import UNFINISHED

__all__ = [
    "RECEIPT",
    "Receipt",
    "cache_folder",
    "locate",
    "locked_folder",
    "mirrored",
    "read_receipt",
]

RECEIPT = "receipt.json"


class Receipt(BaseModel):
    """What is known about an archive in the cache; written last, so its presence means whole.

    Attributes:
        name: the data set.
        path: the archive in the cache, or a folder of photos where it lies.
        source: path or address that it came from.
        bytes: its size.
        md5: its own hash, to compare with a publisher's; None for a folder.
        sha256: its own hash; of a folder, of the names, sizes and times of its files.
        checked: ``publisher`` if the MD5 is the publisher's, else ``content``: members, columns
            and counts are right, and the bytes are somebody's own packing.
        users: distinct users in it; this and the next two are None for photos.
        items: distinct items with interactions.
        interactions: rows.
        photos: labeled photos that are there; this and the next are None for interactions.
        categories: distinct categories of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: Path
    source: str
    bytes: int
    md5: str | None
    sha256: str
    checked: Literal["publisher", "content"]
    users: int | None = None
    items: int | None = None
    interactions: int | None = None
    photos: int | None = None
    categories: int | None = None


def cache_folder() -> Path:
    """The per-user folder of archives; ``RECSEC_CACHE`` names another one."""
    named = os.environ.get("RECSEC_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("recsec")) / "data"


@contextmanager
def locked_folder(data: KnownData) -> Iterator[Path]:
    """The folder of one data set, held by this process alone, without leftovers of killed ones.

    Raises:
        DataError: the folder cannot be written.
    """
    folder = cache_folder() / data.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    except OSError as error:
        raise DataError(
            f"cannot write to the cache {folder}: {error.strerror}",
            hint="set RECSEC_CACHE to a folder that can be written",
        ) from error
    try:
        for leftover in folder.glob(f".*{UNFINISHED}"):
            leftover.unlink(missing_ok=True)
        yield folder
    finally:
        lock.release()


def read_receipt(data: KnownData) -> Receipt | None:
    """The receipt of a cached archive; None if there is none, or the archive is not that one."""
    folder = cache_folder() / data.name
    try:
        receipt = Receipt.model_validate_json((folder / RECEIPT).read_text())
        if receipt.md5 is None:  # a folder, which was never copied
            return receipt if receipt.path.is_dir() else None
        size = (folder / data.archive).stat().st_size
    except (OSError, ValidationError, UnicodeDecodeError):
        return None
    return (
        receipt.model_copy(update={"path": folder / data.archive})
        if size == receipt.bytes
        else None
    )


def mirrored(data: KnownData) -> Path | None:
    """The archive in the folder that ``RECSEC_MIRROR`` names, if it is there."""
    folder = os.environ.get("RECSEC_MIRROR")
    path = Path(folder) / data.archive if folder else None
    return path if path is not None and path.is_file() else None


def locate(data: KnownData, *, source: str | Path | None = None) -> Path:
    """The archive of a known data set: ``source``, the cache, or the mirror, in this order.

    What ``recsec data get --from`` put into the cache is what the user chose, so it wins over a
    mirror.

    Raises:
        DataError: it is in none of them.
    """
    if source is not None:
        if "://" in str(source):
            raise DataError(
                f"only `recsec data get` downloads, and {source} is an address",
                hint=f"recsec data get {data.name} --from {source}",
            )
        return Path(source)
    receipt = read_receipt(data)
    found = receipt.path if receipt is not None else mirrored(data)
    if found is None:
        raise DataError(
            f"{data.name} is not in the cache ({cache_folder() / data.name})",
            hint=f"recsec data get {data.name}{'' if data.url else ' --from PATH'}",
        )
    return found

"""Image files in a folder or an archive: looked at once, decoded by threads."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.photos.duplicates import THUMB, label_repeats
from recsec.data.photos.files import (
    Fault,
    ResizeRule,
    open_photo,
    resize,
    resize_bytes,
    strict_pillow,
)
from recsec.data.sources.archive import open_archive
from recsec.data.sources.cache import cache_folder
from recsec.errors import DataError, RunError
from recsec.runs import digest, read_table, write_table
from recsec.types import IntArray, Progress

__all__ = ["PhotoFiles", "PhotoStore", "look_at", "threads"]

T = TypeVar("T")

LARGEST_FILE = 2**28
"""Bytes; a photo file of more is not read."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
VERSION = 3
"""Counts up when ``look_at`` notes other things."""

Reader = Callable[[str], bytes]


@dataclass(frozen=True, eq=False)
class PhotoStore:
    """A folder or a zip archive that holds image files and tables.

    Attributes:
        path: the folder or the archive.
    """

    path: Path

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """A function from names to bytes, which threads may share.

        Raises:
            DataError: the archive is broken or hostile; later, a file is absent or damaged.
        """
        with ExitStack() as stack:
            if self.path.is_dir():
                yield self._read_file
            else:
                yield stack.enter_context(open_archive(self.path)).read_exact

    @cached_property
    def files(self) -> list[tuple[str, int, int]]:
        """Name with ``/`` between folders, size in bytes and time of change, sorted by name."""
        if not self.path.is_dir():
            with open_archive(self.path) as archive:
                infos = [info for info in archive.zip.infolist() if not info.is_dir()]
                return sorted((info.filename, info.file_size, info.CRC) for info in infos)
        found = []
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = Path(folder) / name
                state = path.lstat()
                if stat.S_ISREG(state.st_mode):
                    where = path.relative_to(self.path).as_posix()
                    found.append((where, state.st_size, state.st_mtime_ns))
        return sorted(found)

    @cached_property
    def images(self) -> list[str]:
        """Names that end like images."""
        return [name for name, _, _ in self.files if name.lower().endswith(SUFFIXES)]

    @property
    def stamp(self) -> str:
        """Changes when a file is added, removed or changed."""
        return digest({"version": VERSION, "files": self.files})

    def _read_file(self, name: str) -> bytes:
        path = self.path / name
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise DataError(f"{path} has more than {LARGEST_FILE:,} bytes")
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error


@dataclass(frozen=True, eq=False)
class PhotoFiles:
    """The files behind the rows of a catalog.

    Attributes:
        store: where they lie.
        names: ``(N,)`` names in the store; row i is ``names[i]``.
        digest: names the decoded pixels of all of them.
    """

    store: PhotoStore
    names: tuple[str, ...]
    digest: str

    def draw(self, rows: IntArray, size: int, rule: ResizeRule) -> npt.NDArray[np.uint8]:
        """Photos ``(B, 3, size, size)`` of ``rows``.

        Raises:
            DataError: a file is gone or no longer what it was when it was looked at.
        """
        out = np.empty((len(rows), 3, size, size), dtype=np.uint8)
        with self.store.open() as read:

            def one(place: int) -> None:
                name = self.names[int(rows[place])]
                pixels = resize_bytes(read(name), size, rule)
                if isinstance(pixels, Fault):
                    raise DataError(
                        f"{self.store.path}: {name} can no longer be read: {pixels.reason}",
                        hint="load the photos anew",
                    )
                out[place] = pixels

            threads(one, range(len(rows)))
        return out


def threads(work: Callable[[int], T], places: Sequence[int]) -> list[T]:
    """``[work(place) for place in places]`` by as many threads as there are processors.

    Pillow lets other threads run while it decodes and resizes.

    Raises:
        DataError: the first that ``work`` raised.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with strict_pillow(), ThreadPoolExecutor(count or 1) as pool:
        return list(pool.map(work, places))


def look_at(
    store: PhotoStore, names: Sequence[str], *, progress: Progress | None = None
) -> pl.DataFrame:
    """Decode every photo once; what was seen is cached until a file changes.

    Returns:
        One row a name: ``name``, ``width``, ``height``, ``sha`` (SHA-256 of upright RGB pixels and
        their shape), ``fault`` (``broken``, ``huge`` or null), ``reason``, and ``repeats``:
        whether the photo is an ``exact`` or ``near`` repeat of an earlier one, or null.
    """
    key = digest({"stamp": store.stamp, "names": list(names)})[:24]
    path = cache_folder() / "photos" / f"seen-{key}.parquet"
    try:
        return read_table(path)
    except RunError:
        pass  # not looked at yet, or the file is damaged
    done = 0
    with store.open() as read:

        def one(place: int) -> dict[str, object]:
            nonlocal done
            seen = _see(read, names[place])
            done += 1
            if progress is not None and done % 64 == 0:
                progress("looking at photos", done, len(names))
            return {"name": names[place], **seen}

        table = pl.DataFrame(threads(one, range(len(names))), schema=_SCHEMA)
    table = table.with_columns(label_repeats(table)).drop("thumb")
    try:
        write_table(path, table)
    except OSError as error:
        raise DataError(
            f"cannot write to the cache {path.parent}: {error.strerror}",
            hint="make room, or set RECSEC_CACHE to another folder",
        ) from error
    return table


_SCHEMA = {
    "name": pl.String,
    "width": pl.Int64,
    "height": pl.Int64,
    "sha": pl.String,
    "thumb": pl.Binary,
    "fault": pl.String,
    "reason": pl.String,
}


def _see(read: Reader, name: str) -> dict[str, object]:
    try:
        data = read(name)
    except DataError as error:
        return {"fault": "broken", "reason": error.message}
    image = open_photo(data)
    if isinstance(image, Fault):
        return {"fault": image.kind, "reason": image.reason}
    sha = hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
    thumb = resize(image, THUMB, ResizeRule(fit="squash"))
    width, height = image.size
    return {"width": width, "height": height, "sha": sha, "thumb": thumb.tobytes()}

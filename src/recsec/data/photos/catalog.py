"""A catalog of product photos: a table of items, and their pixels at any size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
from filelock import FileLock

from recsec.data.item_table import ItemTable
from recsec.data.photos.files import ResizeRule
from recsec.data.sources.cache import cache_folder
from recsec.errors import DataError
from recsec.runs import digest
from recsec.runs.atomic import UNFINISHED
from recsec.types import IntArray, ItemId, Progress

__all__ = ["PhotoReport", "PhotoSource", "Photos"]

FEW = 64
"""So many rows are decoded one by one, without filling the cache with all the others."""
BLOCK = 2**26
"""Bytes of pixels that are decoded before they go to the disk."""


class PhotoSource(Protocol):
    """What draws the photos of a catalog."""

    @property
    def digest(self) -> str:
        """Names the pixels: equal for equal photos in equal order."""

    def draw(self, rows: IntArray, size: int, rule: ResizeRule) -> npt.NDArray[np.uint8]:
        """Photos ``(B, 3, size, size)`` of ``rows (B,)``."""


@dataclass(frozen=True)
class PhotoReport:
    """What became of the photos that were listed.

    Attributes:
        listed: rows of the table of labels.
        unlabeled: photos without a row in that table, and rows without a category.
        repeated_ids: rows whose id an earlier row has.
        missing: rows without a photo.
        broken: files that are no image, cut short or damaged.
        huge: photos over the limit of pixels.
        exact: photos whose pixels are those of an earlier one.
        near: photos that look like an earlier one.
        faults: names and reasons of the first 20 broken and huge files, and of 3 missing ones.
        sizes: width, height and number of the photos that are left, the most frequent first.
        notes: rows of the table that did not fit and were left out.
    """

    listed: int
    unlabeled: int = 0
    repeated_ids: int = 0
    missing: int = 0
    broken: int = 0
    huge: int = 0
    exact: int = 0
    near: int = 0
    faults: tuple[tuple[str, str], ...] = ()
    sizes: tuple[tuple[int, int, int], ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The counts and faults, for ``--json`` and run directories."""
        counts = {key: value for key, value in vars(self).items() if isinstance(value, int)}
        faults = [list(fault) for fault in self.faults]
        return counts | {"faults": faults, "notes": list(self.notes)}


@dataclass(frozen=True, eq=False)
class Photos(ItemTable):
    """N product photos; row i in 0..N-1 is row i of ``table``.

    Attributes:
        name: as the user called it.
        table: columns ``id`` (Int64 or String, unique), ``title`` and ``category`` (String), then
            the attributes, and ``partition`` (``train``, ``val`` or ``test``) where the publisher
            split the photos.
        attributes: names of the attribute columns; each String (one value or null) or
            List[String] (any number of values).
        source: draws the pixels.
        rule: how a photo becomes a square.
        report: what was skipped.
        license: terms of use, empty for the user's own photos.
        synthetic: whether the photos are made up.
    """

    name: str
    table: pl.DataFrame
    attributes: tuple[str, ...]
    source: PhotoSource
    rule: ResizeRule = field(default_factory=ResizeRule)
    report: PhotoReport = field(default_factory=lambda: PhotoReport(0))
    license: str = ""
    synthetic: bool = False

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ids, labels and pixels; the resize rule is not part of it."""
        columns = self.table.select("id", "category", *self.attributes).to_dict(as_series=False)
        return digest({"table": columns, "pixels": self.source.digest})

    def rows(self, ids: Sequence[ItemId]) -> IntArray:
        """Rows ``(B,)`` of external ids.

        Raises:
            DataError: an id is not in the catalog (it is named).
        """
        return self._find(
            ids,
            among=f"photos of {self.name}",
            hint="it may have been skipped as a duplicate or a broken file",
        )

    def pixels(
        self, rows: IntArray | Sequence[int], size: int, *, progress: Progress | None = None
    ) -> npt.NDArray[np.uint8]:
        """Photos as squares ``(B, 3, size, size)`` uint8, made by ``rule``.

        The first call for many rows decodes the whole catalog into a file of the cache; later ones
        read from that file what they need.

        Args:
            rows: ``(B,)``.
            size: side in pixels.
            progress: told about photos while the catalog is decoded.

        Raises:
            DataError: a row outside the catalog, a file that changed, a full disk.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        if size < 1:
            raise DataError(f"photos of {size} pixels: expected a side of at least 1")
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < len(self)):
            wrong = chosen[(chosen < 0) | (chosen >= len(self))][0]
            raise DataError(f"row {wrong} is not among the {len(self):,} photos of {self.name}")
        path = self._cached(size)
        stored = _open_pixels(path, len(self), size)
        if stored is None:
            if len(chosen) <= min(FEW, len(self) // 2):
                return self.source.draw(chosen, size, self.rule)
            stored = self._fill(path, size, progress or (lambda what, done, total: None))
        return stored[chosen]

    def _cached(self, size: int) -> Path:
        """The file of all photos at a size."""
        name = f"pixels-{self.fingerprint[:24]}-{size}-{self.rule}.npy"
        return cache_folder() / "photos" / name

    def _fill(self, path: Path, size: int, progress: Progress) -> npt.NDArray[np.uint8]:
        """Decode the catalog into ``path``, which appears whole or not at all."""
        shape = (len(self), 3, size, size)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
        step = max(1, BLOCK // (3 * size * size))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                stored = _open_pixels(path, len(self), size)  # by another process, meanwhile
                if stored is not None:
                    return stored
                for leftover in path.parent.glob(f".{path.name}.*{UNFINISHED}"):
                    leftover.unlink(missing_ok=True)
                with unfinished.open("wb") as file:
                    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                    for start in range(0, len(self), step):
                        rows = np.arange(start, min(start + step, len(self)))
                        file.write(self.source.draw(rows, size, self.rule).data)
                        progress(f"decoding photos at {size} px", int(rows[-1]) + 1, len(self))
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(unfinished, path)
        except OSError as error:
            raise DataError(
                f"cannot write {np.prod(shape):,} bytes of decoded photos to {path.parent}: "
                f"{error.strerror or error}",
                hint="make room, or set RECSEC_CACHE to another folder",
            ) from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
        stored = _open_pixels(path, len(self), size)
        if stored is None:
            raise DataError(f"{path} vanished while it was read", hint="run the command again")
        return stored


def _open_pixels(path: Path, count: int, size: int) -> npt.NDArray[np.uint8] | None:
    """The decoded photos in ``path``, mapped; None if there is no such file or it is damaged."""
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = stored.shape == (count, 3, size, size) and stored.dtype == np.uint8
    return stored if fits else None

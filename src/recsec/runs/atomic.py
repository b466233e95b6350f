"""Files that are either the old one or the new one, never half of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from recsec.errors import RunError
from recsec.runs.canonical import canonical_json
from recsec.runs.fence import FENCE, check_fence

__all__ = [
    "UNFINISHED",
    "atomic_write_bytes",
    "atomic_write_json",
    "atomic_write_text",
    "check_room",
    "discard_unfinished",
    "strangers",
]

UNFINISHED = ".unfinished"
"""Ending of the files that a killed writer leaves behind; any of them may be deleted."""

LOCK = ".lock"
"""What a process that works in a folder holds."""


def atomic_write_bytes(path: Path | str, content: bytes | Iterable[bytes | memoryview]) -> None:
    """Replace ``path`` by ``content``, or by pieces one after the other, or leave it as it was.

    The content goes to a file in the same folder, reaches the disk, and then takes the name in one
    step. Missing folders are made.

    Raises:
        OSError: the disk is full or the folder cannot be written; the old file is untouched.
        RunError: this process works for somebody who no longer has the run directory.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        with open(unfinished, "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        check_fence()
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut; not every file system offers it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def atomic_write_text(path: Path | str, text: str) -> None:
    """``atomic_write_bytes`` of UTF-8 text; line ends stay as they are."""
    atomic_write_bytes(path, text.encode())


def atomic_write_json(path: Path | str, value: Any) -> None:
    """``atomic_write_text`` of the canonical JSON of ``value``."""
    atomic_write_text(path, canonical_json(value))


def check_room(folder: Path, needed: int) -> None:
    """Whether a disk has room for what is going to be written.

    Args:
        folder: where.
        needed: bytes, roughly.

    Raises:
        RunError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RunError(
            f"{folder} needs about {needed / 1e6:,.0f} MB and has {free / 1e6:,.0f} MB left",
            hint="make room, or give --out a folder on another disk",
        )


def discard_unfinished(folder: Path) -> None:
    """Remove what a killed writer left in a folder; whoever calls holds its lock."""
    for path in folder.glob(f"*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def strangers(folder: Path, *, known: Collection[str] = ()) -> list[str]:
    """Names in a folder, sorted, that neither a lock nor a killed writer left there.

    Args:
        folder: may be missing.
        known: names that belong there.
    """
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name not in (*known, LOCK, FENCE) and not entry.name.endswith(UNFINISHED)
    )

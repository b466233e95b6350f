"""Pictures of a run, made part of the page."""

from __future__ import annotations

import base64
from pathlib import Path

from recsec.reports.schema import Report
from recsec.reports.threat import parts_of

__all__ = ["FOLDER", "read_pictures"]

FOLDER = "pictures"
"""Folder of the run directory that holds them; nothing from elsewhere is read."""
KINDS = {".png": "image/png", ".jpg": "image/jpeg"}
LARGEST = 1 << 20
"""Bytes of one picture, so that the page stays one small file."""


def read_pictures(folder: Path, report: Report) -> dict[str, str]:
    """Data URIs of the pictures that a report names; those that cannot be read are left out.

    A page is passed on, so it holds nothing of this machine but what the run made: a name that
    leads elsewhere, by ``..``, an absolute path or a link, is left out too.
    """
    found = {}
    named = (name for threat, part in parts_of(report) for name in threat.pictures(part))
    for name in {name for name in named if name is not None}:
        path = folder / name
        kind = KINDS.get(path.suffix)
        if kind is None or not _is_inside(path, folder) or path.stat().st_size > LARGEST:
            continue
        found[name] = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
    return found


def _is_inside(path: Path, folder: Path) -> bool:
    """Is it a file of the pictures of this very run, also after all links?"""
    try:
        return path.is_file() and path.resolve().parent == folder.resolve() / FOLDER
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that cannot be one
        return False

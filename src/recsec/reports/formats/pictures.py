"""Pictures of a run, made part of the page."""

from __future__ import annotations

import base64
from pathlib import Path

from recsec.reports.schema import Report
from recsec.reports.threat import parts_of

__all__ = ["FOLDER", "read_pictures"]

FOLDER = "pictures"
"""Folder of the run directory that holds them; a name from elsewhere is not read."""
KINDS = {".png": "image/png", ".jpg": "image/jpeg"}
LARGEST = 1 << 20
"""Bytes of one picture, so that the page stays one small file."""


def read_pictures(folder: Path, report: Report) -> dict[str, str]:
    """Data URIs of the pictures that a report names; those that cannot be read are left out."""
    found = {}
    named = (name for threat, part in parts_of(report) for name in threat.pictures(part))
    for name in {name for name in named if name is not None}:
        path = folder / name
        kind = KINDS.get(path.suffix)
        if kind is None or path.parent != folder / FOLDER or not path.is_file():
            continue
        content = path.read_bytes()
        if len(content) <= LARGEST:
            found[name] = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return found

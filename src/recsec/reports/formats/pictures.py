"""Pictures of a run, made part of the page."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from recsec.reports.evasion.part import Journey, Neighbor
from recsec.reports.schema import Report

__all__ = ["FOLDER", "read_pictures"]

FOLDER = "pictures"
"""Folder of the run directory that holds them; a name from elsewhere is not read."""
KINDS = {".png": "image/png", ".jpg": "image/jpeg"}
LARGEST = 1 << 20
"""Bytes of one picture, so that the page stays one small file."""


def _of_journey(journey: Journey) -> Iterator[str | None]:
    yield journey.target_picture
    for frame in journey.frames:
        yield frame.picture
        yield frame.difference
    neighbors: tuple[Neighbor, ...] = (*journey.before, *journey.after)
    for neighbor in neighbors:
        yield neighbor.picture


def _named(report: Report) -> Iterator[str | None]:
    if report.evasion is None:
        return
    for journey in report.evasion.journeys:
        yield from _of_journey(journey)
    if report.evasion.map is not None:
        yield report.evasion.map.picture


def read_pictures(folder: Path, report: Report) -> dict[str, str]:
    """Data URIs of the pictures that a report names; those that cannot be read are left out."""
    found = {}
    for name in {name for name in _named(report) if name is not None}:
        path = folder / name
        kind = KINDS.get(path.suffix)
        if kind is None or path.parent != folder / FOLDER or not path.is_file():
            continue
        content = path.read_bytes()
        if len(content) <= LARGEST:
            found[name] = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return found

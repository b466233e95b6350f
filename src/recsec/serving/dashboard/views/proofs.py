"""Proof: what ``recsec verify`` found about suspects, the keys, and whether the trail is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.responses import Response

from recsec.serving.dashboard.desk import Call, Desk, Route

__all__ = ["FOLDER", "ROUTES"]

FOLDER = "proofs"
"""In the data directory: what ``recsec verify --json`` printed, one file each."""

MOST, LARGEST = 100, 1_000_000
"""Files that are shown, and bytes of one."""


def overview(desk: Desk, call: Call) -> Response:
    """Suspects, keys, and the trail."""
    folder, store = desk.place.state / FOLDER, desk.engine.store
    proofs, faults = _read(folder)
    keys: dict[str, list[str]] = {}
    for one in proofs:
        keys.setdefault(one["key"], []).append(one["suspect"])
    broken, last = list(store.verify()), store.last_entries(1)
    return desk.page(
        "proof.html",
        call,
        proofs=proofs,
        faults=faults,
        folder=folder,
        keys=keys,
        broken=broken,
        last=last[0] if last else None,
    )


def _read(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The newest first, and what could not be read."""
    files = [path for path in folder.glob("*.json") if path.is_file()] if folder.is_dir() else []
    files.sort(key=lambda path: -path.stat().st_mtime)
    proofs, faults = [], []
    for path in files[:MOST]:
        try:
            if path.stat().st_size > LARGEST:
                raise ValueError("too large")
            proofs.append(_proof(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            faults.append(f"{path.name} is not what recsec verify --json prints: {error}"[:200])
    return proofs, faults


def _proof(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or not isinstance(found.get("controls", {}), dict):
        raise ValueError("it holds something else")
    controls = found.get("controls", {})
    return {
        "file": path.name,
        "at": path.stat().st_mtime,
        "suspect": str(found["suspect"]),
        "key": str(found["key"]),
        "verdict": str(found["verdict"]),
        "p_value": float(found["p_value"]),
        "alpha": float(found["alpha"]),
        "queries": int(found["queries"]),
        "unanswered": int(found["unanswered"]),
        "synthetic": bool(found["synthetic"]),
        "controls": {str(name): float(one["p_value"]) for name, one in controls.items()},
    }


ROUTES: tuple[Route, ...] = (Route("GET", "/proof", "viewer", overview),)

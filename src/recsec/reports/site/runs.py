"""The audits in a folder, in the order in which they were run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from recsec.errors import RunError
from recsec.reports.formats.render import read_report
from recsec.reports.parts import Metric
from recsec.reports.schema import Report
from recsec.reports.threat import parts_of

__all__ = ["SeenRun", "find_runs"]

DEPTH = 3
"""Levels of folders below the given one that are searched."""


@dataclass(frozen=True, eq=False)
class SeenRun:
    """An audit that was found.

    Attributes:
        name: its folder below the given one, with forward slashes.
        path: its folder.
        report: what it found.
        updated: when it was last worked on, from ``timings.json``; empty where that is missing.
    """

    name: str
    path: Path
    report: Report
    updated: str

    def numbers(self) -> dict[str, Metric]:
        """Of each threat, the deciding number of its worst cell, by ``threat: metric``."""
        found: dict[str, Metric] = {}
        for threat, part in parts_of(self.report):
            for case in threat.cases(part):
                name = next(iter(threat.compared or case.metrics), None)
                metric = case.metrics.get(name or "")
                if metric is None or metric.value is None:
                    continue
                label = f"{threat.name}: {name}"
                worst = found.get(label)
                if worst is None or metric.value > (worst.value or 0.0):
                    found[label] = metric
        return found


def find_runs(folder: Path) -> tuple[list[SeenRun], list[str]]:
    """All audits below a folder, the oldest first, and what could not be read, in words.

    Raises:
        RunError: there is no such folder, or no audit in it.
    """
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}", hint="name the folder that holds your runs")
    patterns = ["/".join(["*"] * depth + ["report.json"]) for depth in range(DEPTH + 1)]
    found, faults = [], []
    for path in sorted({path for one in patterns for path in folder.glob(one)}):
        try:
            kind = json.loads(path.read_text(encoding="utf-8")).get("kind")
            if kind != "audit":
                continue
            report = read_report(path.parent)
        except (RunError, OSError, ValueError, AttributeError) as error:
            faults.append(f"left out {path.parent}: {error}")
            continue
        name = path.parent.relative_to(folder).as_posix()
        shown = folder.resolve().name if name == "." else name
        found.append(SeenRun(shown, path.parent, report, _updated(path.parent)))
    if not found:
        raise RunError(
            f"{folder} holds no finished audit", hint="recsec audit PLAN --out DIR makes one"
        )
    return sorted(found, key=lambda run: (run.updated, run.name)), faults


def _updated(folder: Path) -> str:
    try:
        told = json.loads((folder / "timings.json").read_text(encoding="utf-8"))
        return str(told["updated"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""

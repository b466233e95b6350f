"""Where a finding stands: the line of the plan that asks for its threat."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from recsec.reports.schema import Report

__all__ = ["PlanFile", "plan_file"]

TABLES = {"extraction": ("extraction", "target"), "evasion": ("evasion", "visual")}
"""Tables of a plan that speak of a threat, the nearest first; others are called like the threat."""


@dataclass(frozen=True)
class PlanFile:
    """A file in which findings are placed.

    Attributes:
        uri: relative to where the audit was run, with forward slashes.
        text: its content, empty where it cannot be read.
    """

    uri: str
    text: str

    def line_of(self, threat: str) -> int:
        """The line, from 1, of the first table of a threat; 1 where there is none."""
        lines = self.text.splitlines()
        for table in TABLES.get(threat, (threat,)):
            for at, line in enumerate(lines, start=1):
                if table and re.match(rf"\s*\[\[?\s*{re.escape(table)}\s*\]", line):
                    return at
        return 1


def plan_file(report: Report) -> PlanFile | None:
    """The plan that an audit's command names, if it lies under the current directory.

    What is named elsewhere has no place in a repository; an extraction has no plan file.
    """
    try:
        words = shlex.split(report.reproduce.command)
    except ValueError:
        return None
    named = next((word for word in words if word.endswith(".toml")), None)
    if named is None or words[1:2] != ["audit"]:
        return None
    here = Path.cwd()
    path = (here / named).resolve()
    if not path.is_relative_to(here.resolve()):
        return None
    uri = path.relative_to(here.resolve()).as_posix()
    try:
        return PlanFile(uri, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return PlanFile(uri, "")

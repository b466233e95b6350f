"""A pytest plugin: notes the ``hostile`` marks of the collected tests in a file, as JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """Count cases by kind and by what was tried; a fuzz test says how many it draws."""
    found: Counter[tuple[str, str]] = Counter()
    for item in session.items:
        for mark in item.iter_markers("hostile"):
            found[mark.kwargs["kind"], mark.kwargs["what"]] += mark.kwargs.get("cases", 1)
    rows = [[*key, count] for key, count in sorted(found.items())]
    Path(os.environ["HOSTILE_MARKS"]).write_text(json.dumps(rows), encoding="utf-8")

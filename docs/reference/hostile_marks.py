"""A pytest plugin: notes the ``hostile`` marks of the collected tests in a file, as JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import hypothesis
import pytest


def drawn(item: pytest.Item) -> int:
    """How many examples hypothesis draws for a test; 1 where it is an ordinary one."""
    function = getattr(item, "obj", None)
    if not hypothesis.is_hypothesis_test(function):
        return 1
    own = getattr(function, "_hypothesis_internal_use_settings", None)
    return (own or hypothesis.settings()).max_examples


def counted(items: Iterable[pytest.Item]) -> list[tuple[str, str, int]]:
    """Cases by kind and by what was tried; a fuzz test counts as often as it draws."""
    found: Counter[tuple[str, str]] = Counter()
    for item in items:
        for mark in item.iter_markers("hostile"):
            found[mark.kwargs["kind"], mark.kwargs["what"]] += drawn(item)
    return [(*key, count) for key, count in sorted(found.items())]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write them to the file."""
    rows = counted(session.items)
    Path(os.environ["HOSTILE_MARKS"]).write_text(json.dumps(rows), encoding="utf-8")

"""Where a JSON answer holds what is wanted."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jsonpath_ng.jsonpath import Child, JSONPath
from jsonpath_ng.parser import parse

__all__ = ["ids_in", "value_in"]


def ids_in(document: Any, path: str) -> list[Any] | None:
    """What the path points at: one list, or the ids one by one; None where it finds nothing."""
    values = [match.value for match in _parsed(path).find(document)]
    if len(values) == 1 and isinstance(values[0], list):
        found: list[Any] = values[0]
        return found
    if values:
        return values
    return [] if _is_empty_list(document, _parsed(path)) else None


def value_in(document: Any, path: str) -> str | int | None:
    """The one text or number that the path points at, or None."""
    values = [match.value for match in _parsed(path).find(document)]
    if len(values) != 1 or isinstance(values[0], bool) or not isinstance(values[0], str | int):
        return None
    return values[0]


@lru_cache
def _parsed(path: str) -> JSONPath:
    return parse(path)


def _is_empty_list(document: Any, path: JSONPath) -> bool:
    """Did a path with ``[*]`` find nothing because the list before it is empty?"""
    node = path
    while isinstance(node, Child):
        if str(node.right) in ("*", "[*]"):
            before = [match.value for match in node.left.find(document)]
            return bool(before) and all(value == [] for value in before)
        node = node.left
    return False

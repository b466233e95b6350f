"""One value, one text: JSON whose bytes depend on the content alone."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["canonical_json", "digest"]


def plain(value: Any) -> Any:
    """``value`` as JSON has it: tuples become lists, NaN and infinities null.

    Raises:
        TypeError: a value that JSON has no word for; numpy's must be converted by the caller.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int) or value is None:
        return value
    raise TypeError(f"JSON has no {type(value).__name__}")


def canonical_json(value: Any) -> str:
    """Sorted keys, two spaces, one newline at the end, no NaN.

    >>> print(canonical_json({"b": (1, 2), "a": float("nan")}), end="")
    {
      "a": null,
      "b": [
        1,
        2
      ]
    }
    """
    text = json.dumps(plain(value), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal; equal for equal content in any order."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()

"""Names of cells: readable, allowed as file names, and different for different things."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["Names"]

LONGEST = 120
"""Signs of a wish that are kept; what is put before and behind has to fit a file name too."""


class Names:
    """Gives each content one name: the wished one, or that with a number where it is taken."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}

    def of(self, wish: str, content: Sequence[Any]) -> str:
        """The name of ``content``, always the same for equal content."""
        wish = re.sub(r"[^A-Za-z0-9._=+-]", "+", wish).lstrip("._=+-")[:LONGEST] or "unnamed"
        key, name, number = repr(content), wish, 1
        while self._given.setdefault(name, key) != key:
            number += 1
            name = f"{wish}-{number}"
        return name

"""Rows that do not fit: the first is named, or all are counted and left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from recsec.data.filters import LEFT_OUT
from recsec.errors import DataError

__all__ = ["Bad"]

_HINT = "repair the file, or leave such rows out: --drop-bad"


@dataclass(frozen=True)
class Bad:
    """Some rows of one file that do not fit.

    Attributes:
        name: the file.
        rows: how many.
        examples: the first of them: where, what was found, what was expected.
    """

    SHOWN: ClassVar[int] = 3

    name: str
    rows: int = 0
    examples: tuple[str, ...] = ()

    def error(self, *, hint: str = _HINT) -> DataError:
        """The error that names the first."""
        more = f" ({self.rows - 1:,} more such rows)" if self.rows > 1 else ""
        return DataError(f"{self.name}, {self.examples[0]}{more}", hint=hint)

    @staticmethod
    def note(found: Sequence[Bad]) -> tuple[str, ...]:
        """One sentence with the count and three examples; nothing if there are none."""
        rows = sum(one.rows for one in found)
        if not rows:
            return ()
        examples = [f"{one.name}, {text}" for one in found for text in one.examples]
        return (f"{LEFT_OUT}{rows:,} ({'; '.join(examples[: Bad.SHOWN])})",)

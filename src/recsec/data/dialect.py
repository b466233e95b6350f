"""How a table is written, where its look does not say it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["SEPARATORS", "UNITS", "Dialect", "guess_separator"]

SEPARATORS = (",", ";", "\t", "|")
"""Tried in this order."""
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Parts of a second in which times are counted."""
_YEAR = re.compile(r"%[-_0]?[YyFDGcxs+]")
_WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


class Dialect(BaseModel):
    """What the owner of a table says about it; the rest is told from the whole table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sep: str | None = Field(
        default=None, description="between fields of an own file: ; or tab; null: told from it"
    )
    time_format: str | None = Field(
        default=None,
        description="of an own file: s, ms, us, ns, or a pattern such as %d/%m/%Y; null: told",
    )
    drop_bad: bool = Field(
        default=False, description="leave rows of an own file out that do not fit; false: refuse"
    )

    @property
    def dialect(self) -> Dialect | None:
        """This part of a larger table of settings; None where it says nothing."""
        said = Dialect(**self.model_dump(include=set(Dialect.model_fields)))
        return None if said == Dialect() else said

    @field_validator("sep")
    @classmethod
    def _one_character(cls, sep: str | None) -> str | None:
        found = sep if sep is None else _WORDS.get(sep.lower(), sep)
        if found is not None and (
            len(found.encode()) != 1 or found.isalnum() or found in '"\r\n\0.-+_'
        ):
            raise ValueError("one character between fields was expected, such as ; or tab")
        return found

    @field_validator("time_format")
    @classmethod
    def _form(cls, form: str | None) -> str | None:
        if form is not None and form not in UNITS and not _YEAR.search(form):
            raise ValueError(f"{', '.join(UNITS)} or a pattern such as %d/%m/%Y was expected")
        return form


def guess_separator(lines: Sequence[str], wanted: Sequence[str], *, usual: str = ",") -> str:
    """The separator of which every line has as many as the header, and at least one.

    Args:
        lines: the header and some lines after it.
        wanted: names of columns; a header that has some of them decides among several.
        usual: what it is in a table of one column.

    >>> guess_separator(["user;item", "1;2,5"], ["user"])
    ';'
    """

    def rank(sep: str) -> tuple[int, bool, int, bool]:
        names = [name.strip().strip('"') for name in lines[0].split(sep)]
        even = all(line.count(sep) == len(names) - 1 for line in lines[1:] if line.strip())
        found = sum(name in wanted for name in names)
        return found, even, len(names), sep == usual

    several = [sep for sep in SEPARATORS if sep in lines[0]]
    return max(several, key=rank, default=usual)

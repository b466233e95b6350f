"""Spellings of "no value" in text; NaN is the one of floating-point columns."""

from __future__ import annotations

import polars as pl

__all__ = ["MISSING", "without_missing"]

MISSING = (
    *("", "null", "Null", "NULL", "nan", "NaN", "NAN", "None", "NONE", "NaT"),
    *("\\N", "<NA>", "N/A", "n/a", "#N/A", "#N/A N/A"),
)
"""As pandas, R, Hive, MySQL, Excel and people write it; ``NA`` can be a name, so it is not here."""


def without_missing(text: pl.Series) -> pl.Series:
    """Text without blanks around it, null where it says that there is no value."""
    stripped = text.str.strip_chars()
    return stripped.set(stripped.is_in(MISSING), None)

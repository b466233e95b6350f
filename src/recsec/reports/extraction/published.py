"""What others published about extraction."""

from __future__ import annotations

from recsec.reports.extraction.part import Published
from recsec.reports.published import published_table

__all__ = ["published_numbers"]


def published_numbers(data: str) -> tuple[Published, ...]:
    """The published extraction results on a data set; none for an unknown one.

    Args:
        data: name of the data set, for instance ``ml-1m``.
    """
    return tuple(Published(**row) for row in published_table("extraction") if row["data"] == data)

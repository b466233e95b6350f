"""What others published: kept apart from what is measured here."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from recsec.reports.schema import Published

__all__ = ["published_numbers"]


def published_numbers(data: str) -> tuple[Published, ...]:
    """The published extraction results on a data set; none for an unknown one.

    Args:
        data: name of the data set, for instance ``ml-1m``.
    """
    text = files("recsec.reports").joinpath("published.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["extraction"]
    return tuple(Published(**row) for row in rows if row["data"] == data)

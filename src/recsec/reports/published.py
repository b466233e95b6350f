"""What others published: kept apart from what is measured here."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

from recsec.reports.evasion.part import PublishedEvasion
from recsec.reports.extraction.part import Published

__all__ = ["published_evasion", "published_numbers"]


def _table(name: str) -> list[dict[str, Any]]:
    text = files("recsec.reports").joinpath("published.toml").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = tomllib.loads(text)[name]
    return rows


def published_numbers(data: str) -> tuple[Published, ...]:
    """The published extraction results on a data set; none for an unknown one.

    Args:
        data: name of the data set, for instance ``ml-1m``.
    """
    return tuple(Published(**row) for row in _table("extraction") if row["data"] == data)


def published_evasion() -> tuple[PublishedEvasion, ...]:
    """The published success rates of targeted evasion, whatever the data: none is ours."""
    return tuple(PublishedEvasion(**row) for row in _table("evasion"))

"""What others published: kept apart from what is measured here."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

__all__ = ["published_table"]


def published_table(name: str) -> list[dict[str, Any]]:
    """The rows of one table of ``published.toml``."""
    text = files("recsec.reports").joinpath("published.toml").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = tomllib.loads(text)[name]
    return rows

"""The commented plan that ``recsec audit init`` writes."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["template"]


def template() -> str:
    """A TOML plan with every key, which runs unchanged on made-up data."""
    return files("recsec.audit").joinpath("template.toml").read_text(encoding="utf-8")

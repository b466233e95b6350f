"""The commented plan that ``recsec audit init`` writes."""

from __future__ import annotations

from importlib.resources import files

from recsec.audit.threat import audits

__all__ = ["template"]


def template() -> str:
    """A TOML plan with every key, which runs unchanged on made-up data."""
    common = files("recsec.audit").joinpath("template.toml").read_text(encoding="utf-8")
    return common + "".join(audit.template for audit in audits().values())

"""What others published about evasion."""

from __future__ import annotations

from recsec.reports.evasion.part import PublishedEvasion
from recsec.reports.published import published_table

__all__ = ["published_evasion"]


def published_evasion() -> tuple[PublishedEvasion, ...]:
    """The published success rates of targeted evasion, whatever the data: none is ours."""
    return tuple(PublishedEvasion(**row) for row in published_table("evasion"))

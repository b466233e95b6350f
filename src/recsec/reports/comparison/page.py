"""A comparison as one offline page."""

from __future__ import annotations

from recsec.reports.comparison.parts import Diff
from recsec.reports.document import Document

__all__ = ["diff_html"]

MARKS = {
    "worse": "▲",
    "better": "▼",
    "same": "=",
    "new": "+",
    "gone": "-",
    "lost": "?",
    "measured": "+",
}


def diff_html(diff: Diff, *, links: tuple[str, str] | None = None) -> str:
    """The page of a comparison; needs no other file, no network and no JavaScript.

    Args:
        diff: what is shown.
        links: addresses of the two reports, if there are any.
    """
    document = Document({"title": "What changed", **diff.model_dump(mode="json")})
    return document.page("diff.html", marks=MARKS, links=links)

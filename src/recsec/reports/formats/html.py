"""``report.html``: one offline page with everything an owner needs to judge an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from markupsafe import Markup

from recsec.reports.evasion.page import evasion_fragments
from recsec.reports.extraction.page import extraction_fragments
from recsec.reports.formats.document import Document
from recsec.reports.schema import Report

__all__ = ["html"]


def html(report: Report, pictures: Mapping[str, str] | None = None) -> str:
    """The page of an audit.

    Args:
        report: what is shown; a number that is not in it is not on the page.
        pictures: data URIs of the pictures that the report names; one that is missing is replaced
            by words.

    Returns:
        HTML that needs no other file, no network and no JavaScript.
    """
    document = Document(report.model_dump(mode="json"), pictures=pictures or {})
    parts = []
    if report.extraction is not None:
        scoped = replace(document, root=("extraction",))
        parts.append({"name": "extraction", **extraction_fragments(report.extraction, scoped)})
    if report.evasion is not None:
        scoped = replace(document, root=("evasion",))
        parts.append({"name": "evasion", **evasion_fragments(report.evasion, scoped)})
    safe = [{name: Markup(text) for name, text in part.items()} for part in parts]  # noqa: S704
    return document.page("audit.html", parts=safe)

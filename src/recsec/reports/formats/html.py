"""``report.html``: one offline page with everything an owner needs to judge an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from markupsafe import Markup

from recsec.reports.document import Document
from recsec.reports.schema import Report
from recsec.reports.taxonomies import concerns
from recsec.reports.threat import parts_of

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
    for threat, part in parts_of(report):
        scoped = replace(document, root=(threat.name,), package=threat.package)
        fragments = threat.fragments(part, scoped)
        safe = {name: Markup(text) for name, text in fragments.items()}  # noqa: S704
        parts.append({"name": threat.name, **safe})
    return document.page("audit.html", parts=parts, concerns=concerns(report))

"""Pages: templates that escape everything, the files beside them, and what browsers may do."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from recsec.text import visible

__all__ = ["HEADERS", "PREFIX", "Pages"]

PREFIX = "/dashboard"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send forms with Origin: null
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""Of every answer: nothing from elsewhere, no inline script, no frame, no copy on the way."""

STATIC = {
    "dash.css": ("recsec.serving.dashboard", "static/dash.css", "text/css"),
    "dash.js": ("recsec.serving.dashboard", "static/dash.js", "text/javascript"),
    "htmx.min.js": ("recsec.serving.dashboard", "static/htmx.min.js", "text/javascript"),
    "report.css": ("recsec.reports", "templates/report.css", "text/css"),
    "sse.min.js": ("recsec.serving.dashboard", "static/sse.min.js", "text/javascript"),
    "uplot.min.css": ("recsec.serving.dashboard", "static/uplot.min.css", "text/css"),
    "uplot.min.js": ("recsec.serving.dashboard", "static/uplot.min.js", "text/javascript"),
}


class Pages:
    """Renders templates, and knows the static files.

    Args:
        prefix: where browsers find the pages.
    """

    def __init__(self, prefix: str = PREFIX) -> None:
        self.prefix = prefix
        self._environment = Environment(
            loader=PackageLoader("recsec.serving.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_finalized,
        )
        self._environment.filters |= {
            "ago": _ago,
            "clock": _clock,
            "day": _day,
            "lasting": _lasting,
            "number": _number,
            "short": lambda name: name[:8],
        }
        self._static = {
            name: (files(package).joinpath(path).read_bytes(), kind)
            for name, (package, path, kind) in STATIC.items()
        }

    def text(self, template: str, **values: Any) -> str:
        """A template with its values."""
        return self._environment.get_template(template).render(prefix=self.prefix, **values)

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page, or a part of one."""
        return HTMLResponse(self.text(template, **values), status, headers=HEADERS)

    def static(self, name: str) -> Response | None:
        """One of the files that pages use."""
        found = self._static.get(name)
        if found is None:
            return None
        headers = HEADERS | {"Cache-Control": "private, max-age=300"}
        return Response(found[0], media_type=found[1], headers=headers)


def _finalized(value: Any) -> Any:
    """What would reorder a line or hide in it is spelled out, whoever wrote it."""
    return visible(value) if type(value) is str else value


def _ago(at: float | None) -> str:
    return "never" if at is None else f"{_lasting(max(0.0, time.time() - at))} ago"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _lasting(seconds: float) -> str:
    """In the largest unit of which there is more than one.

    >>> [_lasting(each) for each in (0.5, 90, 7200, 200000)]
    ['0 s', '90 s', '120 min', '56 h']
    """
    for size, unit in ((172_800, "d"), (7201, "h"), (121, "min")):
        if seconds >= size:
            return f"{seconds / {'d': 86_400, 'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


def _number(value: float | None) -> str:
    """Three digits that matter.

    >>> [_number(each) for each in (None, 0.000123, 12345, 0.5)]
    ['–', '0.000123', '12,345', '0.5']
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

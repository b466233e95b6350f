"""Audits: the runs below the data directory as ``recsec view`` shows them, and one to try."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from starlette.responses import Response

from recsec.errors import RunError
from recsec.reports.site import SeenRun, find_runs, write_site
from recsec.serving.dashboard.desk import AUDITS, Call, Desk, No, Route
from recsec.serving.dashboard.pages import HEADERS

__all__ = ["ROUTES"]

SITE = "audits-site"
"""In the data directory: the pages about all runs."""

REPORT = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}
"""Of reports: they carry their style in them, and no script."""

KINDS = {".html": "text/html", ".csv": "text/csv", ".md": "text/plain"}

writing = threading.Lock()


def _runs(desk: Desk) -> tuple[list[SeenRun], list[str]]:
    try:
        return find_runs(desk.place.state / AUDITS)
    except RunError:
        return [], []


def overview(desk: Desk, call: Call) -> Response:
    """All runs, the newest first, and the job."""
    runs, faults = _runs(desk)
    rows: list[dict[str, Any]] = [
        {
            "name": run.name,
            "title": run.report.title,
            "updated": run.updated[:16].replace("T", " "),
            "verdict": run.report.verdict,
            "synthetic": run.report.synthetic,
            "numbers": {name: one.value for name, one in run.numbers().items()},
        }
        for run in reversed(runs)
    ]
    folder = desk.place.state / AUDITS
    return desk.page("audits.html", call, rows=rows, faults=faults, folder=folder, **_job(desk))


def _job(desk: Desk) -> dict[str, Any]:
    return {"job": desk.jobs.now()}


def progress(desk: Desk, call: Call) -> Response:
    """The part about the job."""
    return desk.pages.page("parts/job.html", who=call.somebody, **_job(desk))


def start(desk: Desk, call: Call) -> Response:
    """Start the plan that ``recsec audit init`` writes."""
    try:
        begun = desk.jobs.start(call.somebody.name)
    except OSError as error:
        raise No(409, f"cannot start an audit: {error.strerror}") from error
    if not begun:
        raise No(409, "an audit runs already; wait, or cancel it")
    _note(desk, call, "started")
    return desk.go("/audits")


def cancel(desk: Desk, call: Call) -> Response:
    """End the job."""
    if not desk.jobs.cancel():
        raise No(409, "no audit runs")
    _note(desk, call, "cancelled")
    return desk.go("/audits")


def _note(desk: Desk, call: Call, what: str) -> None:
    job = desk.jobs.now()
    body = {"name": job.name if job else "", "action": what}
    desk.engine.store.note(
        at=desk.engine.clock(), actor=call.somebody.actor, kind="audit", body=body
    )


def site(desk: Desk, call: Call) -> Response:
    """A page of the site: trends, comparisons, reports, tables. Its index is written anew."""
    root, path = (desk.place.state / SITE).resolve(), call.path["path"]
    if path == "index.html":
        runs, _ = _runs(desk)
        if not runs:
            raise No(404, "there are no finished audits")
        with writing:
            write_site(runs, root)
    if "\0" in path:
        raise No(404, "there is no such page")
    file = (root / path).resolve()
    if not file.is_relative_to(root) or file.suffix not in KINDS or not file.is_file():
        raise No(404, "there is no such page")
    return _sent(file)


def _sent(file: Path) -> Response:
    headers = HEADERS | REPORT
    return Response(file.read_bytes(), media_type=KINDS[file.suffix], headers=headers)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/audits", "viewer", overview),
    Route("GET", "/audits/job", "viewer", progress),
    Route("POST", "/audits/start", "operator", start),
    Route("POST", "/audits/cancel", "operator", cancel),
    Route("GET", "/audits/site/{path:path}", "viewer", site),
)

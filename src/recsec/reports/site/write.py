"""A folder of pages over many runs: index, trends, comparisons, every report and its tables."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from recsec.errors import RunError
from recsec.reports.comparison import compare_reports, diff_html
from recsec.reports.document import Document
from recsec.reports.formats.html import html
from recsec.reports.formats.pictures import read_pictures
from recsec.reports.formats.tables import tables_of, write_tables
from recsec.reports.site.runs import SeenRun
from recsec.runs import atomic_write_text

__all__ = ["write_site"]

MARK = "recsec-site.txt"
"""Stands in every site, so that a folder with anything else is not written over."""


def write_site(runs: Sequence[SeenRun], out: Path) -> Path:
    """Write the site; returns its index. It needs no server, no network and no JavaScript.

    Runs with the same title belong together: each is compared with the one before it.

    Args:
        runs: the oldest first.
        out: the folder; new, empty, or a site that was written before.

    Raises:
        RunError: the folder holds something else, or cannot be written.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise RunError(f"{out} holds other files", hint="choose a new folder for --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        atomic_write_text(out / MARK, "A site written by recsec view; written over by the next.\n")
        groups: dict[str, list[SeenRun]] = {}
        for run in runs:
            groups.setdefault(run.report.title, []).append(run)
        pages = [_group(title, group, out) for title, group in groups.items()]
        entries = [{"title": page["title"], "runs": page["runs"]} for page in pages]
        document = Document({"title": "Audits", "groups": entries})
        figures = [Markup(page["figure"]) for page in pages]  # noqa: S704 - our own drawing
        text = document.page("site.html", figures=figures)
        atomic_write_text(out / "index.html", text)
    except OSError as error:
        raise RunError(f"cannot write to {out}: {error.strerror or error}") from error
    return out / "index.html"


def _folder(run: SeenRun) -> str:
    """A name that is safe in a file system and an address, and that no two runs share."""
    mark = hashlib.sha256(run.name.encode()).hexdigest()[:6]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run.name).strip("-.")[:60] + f"-{mark}"


def _group(title: str, runs: Sequence[SeenRun], out: Path) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    before: SeenRun | None = None
    for run in runs:
        place = _folder(run)
        folder = out / "runs" / place
        folder.mkdir(parents=True, exist_ok=True)
        page = html(run.report, read_pictures(run.path, run.report))
        atomic_write_text(folder / "report.html", page)
        write_tables(run.report, folder / "tables")
        change = None if before is None else _diff(before, run, folder)
        rows.append(
            {
                "name": run.name,
                "updated": run.updated[:16].replace("T", " "),
                "level": run.report.verdict.level,
                "gate": run.report.gate,
                "synthetic": run.report.synthetic,
                "numbers": {name: one.model_dump() for name, one in run.numbers().items()},
                "report": f"runs/{place}/report.html",
                "tables": [
                    {"name": name, "file": f"runs/{place}/tables/{name}"}
                    for name in tables_of(run.report)
                ],
                "change": change,
                "diff": None if change is None else f"runs/{place}/diff.html",
            }
        )
        before = run
    from recsec.reports.figures.trend import trend

    labels = list(dict.fromkeys(name for run in runs for name in run.numbers()))
    series = [(label, [run.numbers().get(label) for run in runs]) for label in labels]
    figure = trend(series, [run.name for run in runs]) if len(runs) > 1 else ""
    return {"title": title, "runs": rows, "figure": figure}


def _diff(before: SeenRun, run: SeenRun, folder: Path) -> str:
    found = compare_reports(
        before.report, run.report, old=before.path, new=run.path, names=(before.name, run.name)
    )
    links = (f"../{_folder(before)}/report.html", "report.html")
    atomic_write_text(folder / "diff.html", diff_html(found, links=links))
    return "worse" if found.regression else "no regression"

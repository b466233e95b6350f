"""From a run directory to the files that people and pipelines read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from recsec.errors import RunError
from recsec.reports.formats.html import html
from recsec.reports.formats.junit import junit
from recsec.reports.formats.pictures import read_pictures
from recsec.reports.formats.sarif import sarif
from recsec.reports.formats.where import plan_file
from recsec.reports.schema import Report, report_class
from recsec.reports.training import read_training, training_html
from recsec.runs import atomic_write_text

__all__ = ["kind_of", "read_report", "render", "render_training"]

AUDITS = ("audit", "extract", "extraction")
TRAININGS = ("train", "training")


def kind_of(folder: Path) -> str:
    """What a folder is the run of: ``audit`` or ``training``.

    The kind stands in ``run.json``; a report that was copied alone names its own; a checkpoint
    folder is a training.

    Raises:
        RunError: there is no such folder, or it is no run whose report we know.
    """
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}", hint="name the folder given to --out")
    for name in ("run.json", "report.json"):
        if (folder / name).is_file():
            kind = _kind_in(folder / name)
            if kind in AUDITS:
                return "audit"
            if kind in TRAININGS:
                return "training"
            raise RunError(
                f"{folder} is a run of kind {kind!r}, which has no report",
                hint=f"reports are made of: {', '.join(sorted({*AUDITS, *TRAININGS}))}",
            )
    if (folder / "history.json").is_file() or (folder / "config.json").is_file():
        return "training"
    raise RunError(
        f"{folder} is no run: it has neither run.json nor history.json",
        hint="name the folder given to --out of recsec audit, extract or train",
    )


def _kind_in(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return str(found["kind"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(
            f"{path} cannot be read: {type(error).__name__}: {error}",
            hint="the file is damaged; run the command that made it into another folder",
        ) from error


def read_report(folder: Path) -> Report:
    """The audit's report in a run directory.

    Raises:
        RunError: ``report.json`` is missing, damaged, or of another schema.
    """
    path = folder / "report.json"
    try:
        return report_class().model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(
            f"{folder} has no report.json: the run is not finished",
            hint="repeat the command that made it; finished cells are not run again",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(
            f"{path} does not fit the report schema: {where}: {first['msg']}",
            hint="was it written by another version? repeat the command that made it",
        ) from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def render(run_folder: Path | str, *, out: Path | None = None) -> list[Path]:
    """Write ``report.html``, ``junit.xml`` and ``sarif.json`` from ``report.json``.

    The page also holds the pictures that the report names, where they lie beside it.

    Args:
        run_folder: folder that holds ``report.json``.
        out: where to write; the run's own folder if None.

    Returns:
        The files written.

    Raises:
        RunError: ``report.json`` is missing or damaged, or the files cannot be written.
    """
    folder = Path(run_folder)
    report = read_report(folder)
    texts = {
        "report.html": html(report, read_pictures(folder, report)),
        "junit.xml": junit(report),
        "sarif.json": sarif(report, plan_file(report)),
    }
    return _write(out or folder, texts)


def render_training(folder: Path | str, *, out: Path | None = None) -> list[Path]:
    """Write ``report.json`` and ``report.html`` of a training from its ``history.json``.

    Args:
        folder: the checkpoint folder.
        out: where to write; the checkpoint folder itself if None.

    Raises:
        RunError: the history is missing or damaged, or the files cannot be written.
    """
    report = read_training(Path(folder))
    text = json.dumps(report.model_dump(mode="json"), indent=2) + "\n"
    return _write(out or Path(folder), {"report.json": text, "report.html": training_html(report)})


def _write(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    try:
        for name, text in texts.items():
            atomic_write_text(folder / name, text)
    except OSError as error:
        raise RunError(
            f"cannot write to {folder}: {error.strerror or error}",
            hint="write elsewhere: recsec report RUN --out DIR",
        ) from error
    return [folder / name for name in texts]

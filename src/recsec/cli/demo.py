"""``recsec demo``: a first audit, from training to report, without asking anything of the user."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit, note, progress, resumable
from recsec.errors import RunError

if TYPE_CHECKING:
    from recsec.audit import Plan
    from recsec.reports import Report

__all__ = ["demo_plan", "run"]

SYNTHETIC = "synthetic:users=600,items=200,length=25,seed=7"
SMALL = {"embedding_dim": 32, "max_length": 50, "lr": 0.005}
PHOTOS = "photos:items=360,categories=6,seed=7"
FEW_PHOTOS = "photos:items=120,categories=4,seed=7"
ENCODER = {"size": 32, "widths": [16, 32]}


def run(
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="NAME", help="Data to train and attack on; made up by default."
        ),
    ] = "synthetic",
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer epochs, budgets and seeds: wider intervals.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Run directory; by default a new recsec-demo folder."
        ),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """A first audit: copy a recommender through its API, move photos into chosen lists, report.

    Without options the data is made up, nothing is downloaded, and it takes one or two minutes: a
    recommender is trained and copied, then an encoder of photos is trained, attacked, hardened and
    attacked again. With --data the first half runs on that data. Interrupted, the same command
    continues; a finished demo is kept and the next one gets its own folder.
    """
    from recsec.audit import run_audit

    plan = demo_plan(data, quick=quick)
    words = ["recsec", "demo", *(["--data", data] if data != "synthetic" else [])]
    words += ["--quick"] if quick else []
    if data == "synthetic":
        note("The data is synthetic: made up on this machine, no real users, no real photos.")
    report: Report | None = None
    folder = Path()
    for folder in [out] if out is not None else _folders(_place(), _name(data, quick=quick)):
        where = shlex.join([*words, "--out", str(folder)])
        resumable(where)
        try:
            with progress() as tell:
                note(f"run directory: {folder}")
                report = run_audit(plan, folder, command=where, progress=tell)
        except RunError:
            if out is not None:
                raise
            continue  # busy, or left by another version: the next number
        break
    if report is None:
        raise RunError("no folder is free for the demo", hint="recsec demo --out DIR")
    result = _result(report, folder, data)
    emit(result, lambda console: _render(console, result), json=json)


def demo_plan(data: str, *, quick: bool) -> Plan:
    """The plan of the demo; for made-up data it is small enough for a minute or two."""
    from recsec.audit import parse_plan

    if data == "synthetic":
        target = {"train": "sasrec", "settings": {**SMALL, "epochs": 10 if quick else 20}}
        attack: dict[str, Any] = {
            "policies": ["mixed"] if quick else ["random", "mixed"],
            "calls": [1000] if quick else [500, 2000, 5000],
            "seeds": [0] if quick else [0, 1],
            "length": 25,
            "sessions": 20,
            "surrogate_settings": {**SMALL, "epochs": 15 if quick else 20},
        }
    else:
        target = {"train": "sasrec", "settings": {"epochs": 6} if quick else {}}
        attack = {
            "policies": ["mixed"] if quick else ["random", "mixed"],
            "calls": [10_000, 50_000] if quick else [10_000, 50_000, 200_000],
            "seeds": [0] if quick else [0, 1, 2],
        }
    title = "Demo on synthetic data" if data == "synthetic" else f"Demo on {data}"
    return parse_plan(
        {
            "title": title + (", quick" if quick else ""),
            "target": {**target, "data": SYNTHETIC if data == "synthetic" else data},
            "extraction": {"k": [10], **attack},
            **(_photos(quick=quick) if data == "synthetic" else {}),
        },
        where="the demo's plan",
    )


def _photos(*, quick: bool) -> dict[str, Any]:
    """The visual half: one encoder, the same hardened, and the pairs that attack both."""
    epochs = (6, 1) if quick else (12, 4)
    budgets = [0.05] if quick else [0.01, 0.03, 0.05, 0.1]
    grids: list[dict[str, Any]] = [{"attacks": "mi-10" if quick else "mi", "eps": budgets}]
    if not quick:
        grids.append({"attacks": "mi", "eps": 0.5, "pairs": 20})
        grids.append({"attacks": ["mi-10", "mi-100", "square-200"], "eps": 0.05, "pairs": 20})
    return {
        "visual": {
            "data": FEW_PHOTOS if quick else PHOTOS,
            "pairs": 10 if quick else 100,
            "models": [
                {
                    "name": "undefended",
                    "train": "encoder",
                    "settings": {**ENCODER, "epochs": epochs[0]},
                },
                {
                    "name": "hardened",
                    "harden": "trades-embedding",
                    "settings": {"epochs": epochs[1]},
                },
            ],
        },
        "evasion": grids,
    }


def _name(data: str, *, quick: bool) -> str:
    parts = ["recsec-demo", *([] if data == "synthetic" else [Path(data).stem])]
    return "-".join([*parts, *(["quick"] if quick else [])])


def _place() -> Path:
    """The current folder, or one of the user's own where that is read-only."""
    import platformdirs

    here = Path.cwd()
    for folder in (here, Path(platformdirs.user_data_dir("recsec"))):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError:
            continue
        if folder != here:
            note(f"{here} cannot be written to")
        return folder if folder != here else Path()
    return Path(tempfile.mkdtemp(prefix="recsec-"))


def _folders(place: Path, name: str) -> Iterator[Path]:
    """Numbered folders, those of finished demos and of others left out."""
    for number in range(1, 1000):
        folder = place / (name if number == 1 else f"{name}-{number}")
        begun = (folder / "run.json").is_file()
        if not (folder / "report.html").exists() and (begun or not _holds_something(folder)):
            yield folder


def _holds_something(folder: Path) -> bool:
    return folder.is_file() or (folder.is_dir() and bool(os.listdir(folder)))


def _result(report: Report, folder: Path, data: str) -> dict[str, Any]:
    from recsec.reports import ExtractionReport

    extraction = report.of(ExtractionReport).extraction
    rows = [] if extraction is None else [row.model_dump(mode="json") for row in extraction.rows]
    step = "recsec audit init" if data != "synthetic" else "recsec data get ml-1m"
    more = "" if data != "synthetic" else " && recsec demo --data ml-1m --quick"
    return {
        "synthetic": report.synthetic,
        "verdict": report.verdict.model_dump(mode="json"),
        "rows": rows,
        "report": str(folder.resolve() / "report.html"),
        "next": step + more,
    }


def _render(console: Console, result: dict[str, Any]) -> None:
    about = "synthetic data" if result["synthetic"] else "real data"
    statement = result["verdict"]["statement"]
    console.print(f"found ({about}): {statement}", soft_wrap=True)
    console.print(f"report: {result['report']}", soft_wrap=True)
    console.print(f"next: {result['next']}", soft_wrap=True)

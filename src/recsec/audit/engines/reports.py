"""What tasks say of their progress while they run: seldom, and from other machines by files.

The run directory is all that machines share, so a task elsewhere leaves its latest report there.
Whoever runs the audit takes it away when he has read it. A report that gets lost is missed by
nobody: the next one says more.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recsec.runs import atomic_write_json
from recsec.types import Progress

__all__ = ["leaves_reports", "reads_reports", "seldom"]

FOLDER = ".progress"
SECONDS_BETWEEN_FILES = 2.0


def seldom(progress: Progress, seconds: float) -> Progress:
    """Progress that is passed on once in so many seconds under each name, and when it is whole."""
    last: dict[str, float] = {}

    def report(what: str, done: int, total: int) -> None:
        name, now = what.partition(" | ")[0], time.monotonic()
        if done >= total or now - last.get(name, float("-inf")) > seconds:
            last[name] = now
            progress(what, done, total)

    return report


def leaves_reports(run: Path, task: str) -> Progress:
    """Progress of a task elsewhere; a worker without the word of the run ends at the next report.

    Raises:
        RunError: when it is called, as by ``recsec.runs.check_fence``.
    """

    def leave(what: str, done: int, total: int) -> None:
        with suppress(OSError):  # work does not end because nobody hears of it
            atomic_write_json(run / FOLDER / f"{task}.json", [what, done, total])

    return seldom(leave, SECONDS_BETWEEN_FILES)


@contextmanager
def reads_reports(run: Path, progress: Progress | None) -> Iterator[Callable[[], None]]:
    """Gives a function that passes on the reports that tasks have left since it was last called."""
    folder = run / FOLDER
    shutil.rmtree(folder, ignore_errors=True)

    def read() -> None:
        for path in sorted(folder.glob("*.json")):
            with suppress(OSError, ValueError):
                what, done, total = json.loads(path.read_text(encoding="utf-8"))
                path.unlink()
                if progress is not None:
                    progress(what, done, total)

    try:
        yield read
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""Progress of long work: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from recsec.types import Progress as Report

__all__ = ["bars", "lines"]

SECONDS_BETWEEN_LINES = 15.0


def _divide(what: str) -> tuple[str, str]:
    name, _, detail = what.partition(" | ")
    return name, detail


@contextmanager
def bars(console: Console) -> Iterator[Report]:
    """One bar per kind of work, with its detail and the time it will still take."""
    tasks: dict[str, TaskID] = {}
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[detail]}", style="dim", markup=False),
        console=console,
    ) as shown:

        def report(what: str, done: int, total: int) -> None:
            name, detail = _divide(what)
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=total, detail=detail)
            shown.update(tasks[name], completed=done, total=total)
            if detail:
                shown.update(tasks[name], detail=detail)

        yield report


def lines(write: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> Report:
    """A line when work begins, when it ends, and at most every 15 seconds between."""
    last: dict[str, tuple[int, float]] = {}

    def report(what: str, done: int, total: int) -> None:
        name, detail = _divide(what)
        now = clock()
        said, when = last.get(name, (-1, float("-inf")))
        ended = done >= total and done != said
        if done < said or ended or now - when >= SECONDS_BETWEEN_LINES:
            last[name] = (done, now)
            write(f"{name}: {done:,}/{total:,}" + (f", {detail}" if detail else ""))

    return report

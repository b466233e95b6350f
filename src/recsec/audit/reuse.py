"""Take along what another run collected: what the same question was answered is not asked again."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from recsec.errors import RunError
from recsec.runs import RunDirectory

__all__ = ["take_along"]

OWN = ("run.json", "events.jsonl", "timings.json", ".lock", "pictures", "cells")


def take_along(run: RunDirectory, other: Path) -> None:
    """Copy the work of ``other`` into a run in which nothing was done yet.

    Of each result it is known what decided it, so the plan of ``run`` uses what it would do itself,
    and puts the rest aside. Killed, it is done again: the results come last.

    Raises:
        RunError: ``other`` is no audit, or somebody works there.
    """
    if (run.path / "cells").exists():
        return
    source = RunDirectory.open(other)
    if source.kind != run.kind:
        raise RunError(
            f"{other} holds a run of kind {source.kind!r}, not {run.kind!r}",
            hint="name the folder of an audit",
        )
    try:
        with FileLock(other / ".lock", timeout=0):
            for path in sorted(other.iterdir()):
                if path.is_dir() and path.name not in OWN:
                    shutil.copytree(path, run.path / path.name, dirs_exist_ok=True)
            if (other / "cells").is_dir():
                copied = run.path / "cells.copied"
                shutil.rmtree(copied, ignore_errors=True)
                shutil.copytree(other / "cells", copied)
                copied.rename(run.path / "cells")
    except Timeout as error:
        raise RunError(
            f"another process is working in {other}", hint="wait until it ends"
        ) from error
    except OSError as error:
        raise RunError(
            f"cannot copy {other} to {run.path}: {error}", hint="make room, or copy it yourself"
        ) from error
    run.record("took along", run=str(other))

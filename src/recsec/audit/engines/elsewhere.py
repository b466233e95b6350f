"""What a task needs to be done on another machine: the place, the word, the same versions.

Nothing travels but names, numbers and paths. Results are small JSON; everything else is in the run
directory, which every machine must see at the same path.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recsec.audit.engines.base import Failure, Result, Task, run_packed
from recsec.audit.engines.reports import leaves_reports
from recsec.errors import RunError
from recsec.runs import environment, fenced

__all__ = ["Placement", "lost", "run_elsewhere"]

PREFIX = "RECSEC_"


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


@dataclass(frozen=True)
class Placement:
    """Where and for whom tasks are done.

    Attributes:
        run: the run directory, absolute.
        word: what its owner told; ``recsec.runs.fence``.
        threads: threads of the numerical library in each task.
        folder: the owner's working folder, from which names of files and modules count.
        versions: the owner's packages.
        settings: the owner's ``RECSEC_...`` variables.
    """

    run: str
    word: str
    threads: int
    folder: str = field(default_factory=os.getcwd)
    versions: dict[str, str] = field(default_factory=lambda: environment(threads=1)["versions"])
    settings: dict[str, str] = field(default_factory=_settings)

    def pack(self, task: Task) -> dict[str, Any]:
        """A task and everything around it as JSON data."""
        return {"task": task.pack(), "placement": asdict(self)}


def run_elsewhere(packed: dict[str, Any]) -> Result:
    """Run a packed task in this process of another machine; only an interrupt gets through."""
    import torch

    task, told = packed["task"], Placement(**packed["placement"])
    try:
        _same_versions(told.versions)
        folder = Path(told.folder)
        if not folder.is_dir():
            raise RunError(
                f"this machine does not see the folder {folder}, where the audit was started",
                hint="start it in a folder on storage that all machines of the cluster share",
            )
        os.chdir(folder)
        os.environ.update(told.settings)
        if told.folder not in sys.path:
            sys.path.insert(0, told.folder)
        torch.set_num_threads(told.threads)
        with fenced(Path(told.run), told.word):
            return run_packed(task, leaves_reports(Path(told.run), task["id"]))
    except RunError as error:
        failure = Failure(type(error).__name__, error.message, error.hint)
    return Result(task["id"], None, failure, 0.0)


def lost(task: Task, why: str) -> Result:
    """The result of a task whose worker is gone; it is not tried again in this run."""
    failure = Failure(
        "WorkerDied",
        f"the worker is gone: {why}",
        hint="run the same command again: finished work stays; give memory_gb if it was for memory",
    )
    return Result(task.id, None, failure, 0.0)


def _same_versions(owner: dict[str, str]) -> None:
    """Refuse to compute with other versions than the owner of the run has.

    Raises:
        RunError: they differ.
    """
    here = environment(threads=1)["versions"]
    other = sorted(name for name in owner if here.get(name) != owner[name])
    if other:
        told = ", ".join(f"{name} {here.get(name)}, not {owner[name]}" for name in other)
        raise RunError(
            f"this worker has other versions than the machine that runs the audit: {told}",
            hint="install the same versions on all machines: constraints.txt names them",
        )

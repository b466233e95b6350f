"""What the extraction part of a plan is going to cost, said before the first query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recsec.attacks.extraction import surrogate_config
from recsec.audit.extraction.cells import Grid
from recsec.audit.extraction.opening import is_checkpoint
from recsec.audit.extraction.plan import ExtractionTables
from recsec.audit.threat import ThreatScope
from recsec.targets.guarded import read_guarded

__all__ = ["ExtractionScope", "scope_of"]

LOCAL_CALLS_PER_SECOND = 8000.0
"""What one core asks of a checkpoint with 3,000 items, in order of magnitude."""
LESSONS_PER_SECOND = 20_000.0
"""Recorded lists that one core learns from, 3,000 items, in order of magnitude."""
SECONDS_PER_CELL = 5.0
"""Reading the transcript, and asking the surrogate about every user."""


@dataclass(frozen=True)
class ExtractionScope(ThreatScope):
    """What will happen; training a target and twins comes on top of ``seconds``.

    Attributes:
        collections: sets of queries; cells with smaller budgets share them.
        calls: queries over all collections.
        users: on how many users fidelity is measured; None for all.
        local: the target answers from a checkpoint on this machine.
    """

    collections: int
    calls: int
    users: int | None
    local: bool

    def words(self, duration: Callable[[float], str]) -> list[str]:
        """See ``ThreatScope.words``."""
        users = "all users" if self.users is None else f"{self.users:,} users"
        what = f"{self.cells} cells, {self.calls:,} calls in {self.collections} collections"
        lines = [
            f"{what}, {users}; about {duration(self.seconds)}, besides training target and twins"
        ]
        if self.finished:
            lines.append(
                f"{self.finished} cells are finished already: nothing of them is asked again"
            )
        return lines


def scope_of(plan: ExtractionTables, grid: Grid, *, finished: int = 0) -> ExtractionScope:
    """Count, and guess the time of all cells: asking at the plan's rate limit, or a checkpoint's.

    Args:
        plan: what is asked for.
        grid: its cells.
        finished: how many of them are measured already.
    """
    target = plan.target
    local = target is not None and (target.train is not None or _answers_here(str(target.model)))
    workers = plan.engine.processes
    rate = LOCAL_CALLS_PER_SECOND * workers if local else plan.cost.calls_per_second
    lessons = sum(
        surrogate_config(spec.config, calls=spec.calls).epochs * spec.calls for spec in grid.cells
    )
    fitting = lessons / LESSONS_PER_SECOND + SECONDS_PER_CELL * len(grid.cells)
    return ExtractionScope(
        cells=len(grid.cells),
        finished=finished,
        seconds=grid.calls / rate + fitting / workers,
        collections=len(grid.collections),
        calls=grid.calls,
        users=plan.evaluation.users,
        local=local,
    )


def _answers_here(spec: str) -> bool:
    """A checkpoint on this machine, guarded or not."""
    return is_checkpoint(spec) or read_guarded(Path(spec).expanduser()) is not None

"""What a plan is going to cost, said before the first query."""

from __future__ import annotations

from dataclasses import dataclass

from recsec.attacks.extraction import surrogate_config
from recsec.audit.cells import Grid
from recsec.audit.opening import is_checkpoint
from recsec.audit.plan import Plan

__all__ = ["Scope", "scope_of"]

LOCAL_CALLS_PER_SECOND = 8000.0
"""What one core asks of a checkpoint with 3,000 items, in order of magnitude."""
LESSONS_PER_SECOND = 10_000.0
"""Recorded lists that one core learns from, 3,000 items, in order of magnitude."""
SECONDS_PER_CELL = 5.0
"""Reading the transcript, and asking the surrogate about every user."""


@dataclass(frozen=True)
class Scope:
    """What will happen.

    Attributes:
        cells: attacks that are measured.
        finished: those that an earlier process has measured already.
        collections: sets of queries; cells with smaller budgets share them.
        calls: queries over all collections.
        users: on how many users fidelity is measured; None for all.
        seconds: a rough estimate of the whole time; training a target and twins comes on top.
        local: the target answers from a checkpoint on this machine.
    """

    cells: int
    finished: int
    collections: int
    calls: int
    users: int | None
    seconds: float
    local: bool


def scope_of(plan: Plan, grid: Grid, *, finished: int = 0) -> Scope:
    """Count, and guess the time of all cells: asking at the plan's rate limit, or a checkpoint's.

    Args:
        plan: what is asked for.
        grid: its cells.
        finished: how many of them are measured already.
    """
    local = plan.target.train is not None or is_checkpoint(str(plan.target.model))
    workers = plan.engine.processes
    rate = LOCAL_CALLS_PER_SECOND * workers if local else plan.cost.calls_per_second
    lessons = sum(
        surrogate_config(spec.config, calls=spec.calls).epochs * spec.calls for spec in grid.cells
    )
    fitting = lessons / LESSONS_PER_SECOND + SECONDS_PER_CELL * len(grid.cells)
    return Scope(
        cells=len(grid.cells),
        finished=finished,
        collections=len(grid.collections),
        calls=grid.calls,
        users=plan.evaluation.users,
        seconds=grid.calls / rate + fitting / workers,
        local=local,
    )

"""What a plan is going to cost, said before the first query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsec.attacks.evasion import open_attack
from recsec.attacks.extraction import surrogate_config
from recsec.audit.evasion.cells import EvasionCell
from recsec.audit.extraction.cells import Grid
from recsec.audit.extraction.opening import is_checkpoint
from recsec.audit.plan import Plan
from recsec.targets.guarded import read_guarded

__all__ = ["EvasionScope", "Scope", "evasion_scope", "scope_of"]

LOCAL_CALLS_PER_SECOND = 8000.0
"""What one core asks of a checkpoint with 3,000 items, in order of magnitude."""
LESSONS_PER_SECOND = 20_000.0
"""Recorded lists that one core learns from, 3,000 items, in order of magnitude."""
SECONDS_PER_CELL = 5.0
"""Reading the transcript, and asking the surrogate about every user."""
PAIR_STEPS_PER_SECOND = 500.0
"""Gradients of one pair at 64 px that one core computes, in order of magnitude."""
FORWARDS_PER_GRADIENT = 2.5
SIDE = 64


@dataclass(frozen=True)
class EvasionScope:
    """What will happen to a visual recommender.

    Attributes:
        cells: attacks with one budget on one model.
        tasks: chunks of pairs.
        finished: chunks that an earlier process has measured already.
        attacks: pairs over all cells that are left.
        seconds: a rough estimate of what is left; models on top. Pairs that an attack solves
            early take less, survivors of other attacks are counted as all.
    """

    cells: int
    tasks: int
    finished: int
    attacks: int
    seconds: float


@dataclass(frozen=True)
class Scope:
    """What will happen.

    Attributes:
        cells: extraction attacks that are measured.
        finished: those that an earlier process has measured already.
        collections: sets of queries; cells with smaller budgets share them.
        calls: queries over all collections.
        users: on how many users fidelity is measured; None for all.
        seconds: a rough estimate of the extraction; training a target and twins comes on top.
        local: the target answers from a checkpoint on this machine.
        evasion: the same for evasion; None where the plan has none.
    """

    cells: int
    finished: int
    collections: int
    calls: int
    users: int | None
    seconds: float
    local: bool
    evasion: EvasionScope | None = None


def scope_of(
    plan: Plan, grid: Grid, *, finished: int = 0, evasion: EvasionScope | None = None
) -> Scope:
    """Count, and guess the time of all cells: asking at the plan's rate limit, or a checkpoint's.

    Args:
        plan: what is asked for.
        grid: its extraction cells.
        finished: how many of them are measured already.
        evasion: the scope of evasion.
    """
    target = plan.target
    local = target is not None and (target.train is not None or _answers_here(str(target.model)))
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
        evasion=evasion,
    )


def _answers_here(spec: str) -> bool:
    """A checkpoint on this machine, guarded or not."""
    return is_checkpoint(spec) or read_guarded(Path(spec).expanduser()) is not None


def evasion_scope(
    plan: Plan,
    units: list[tuple[EvasionCell, int, bool]],
    *,
    size: int,
) -> EvasionScope:
    """Count, and guess the time from the settings of the attacks.

    Args:
        plan: what is asked for.
        units: cell, pairs and whether it is finished, of every chunk.
        size: side of the images in pixels.
    """
    left = [(cell, pairs) for cell, pairs, finished in units if not finished]
    work = sum(pairs * gradients(cell) for cell, pairs in left) * (size / SIDE) ** 2
    return EvasionScope(
        cells=len({cell.id for cell, _, _ in units}),
        tasks=len(units),
        finished=len(units) - len(left),
        attacks=sum(pairs for _, pairs in left),
        seconds=work / PAIR_STEPS_PER_SECOND / plan.engine.processes,
    )


def gradients(cell: EvasionCell) -> float:
    """Cost of one pair at most, in gradients."""
    config: Any = open_attack(cell.attack.key, cell.attack.settings).config
    steps = getattr(config, "steps", 0) * getattr(config, "restarts", 1)
    return float(2 + steps + getattr(config, "queries", 0) / FORWARDS_PER_GRADIENT)

"""What the extraction part of a plan is going to cost, said before the first query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recsec.attacks.extraction import surrogate_config
from recsec.audit.extraction.cells import Grid
from recsec.audit.extraction.plan import ExtractionTables
from recsec.audit.threat import ThreatScope
from recsec.sources import is_folder
from recsec.targets.guarded import read_guarded
from recsec.text import counted

__all__ = ["ExtractionScope", "answers_here", "scope_of"]

LOCAL_CALLS_PER_SECOND = 8000.0
"""What one core asks of a checkpoint with 3,000 items, in order of magnitude."""
LESSONS_PER_SECOND = 20_000.0
"""Recorded lists that one core learns from, 3,000 items, in order of magnitude."""
BYTES_OF_CALL, BYTES_OF_ID = 24, 4
"""Of a call in a transcript, and of each id in its list, compressed, in order of magnitude."""
BYTES_OF_WEIGHT = 40
"""Of a surrogate: kept three times, with two moments each, once more while they are written."""
SECONDS_PER_CELL = 5.0
"""Reading the transcript, and asking the surrogate about every user."""


@dataclass(frozen=True)
class ExtractionScope(ThreatScope):
    """What will happen; ``seconds`` are those of asking and of copying.

    Attributes:
        collections: sets of queries; cells with smaller budgets share them.
        calls: queries over all collections.
        users: on how many users fidelity is measured; None for all.
        owner: calls in the owner's name: a check, and the lists that fidelity is measured on.
        local: the target answers from a checkpoint on this machine.
        spots: recorded calls that are asked again, to see whether it is the same target.
        trainings: what is trained on top of ``seconds``, in words; empty for nothing.
    """

    collections: int
    calls: int
    users: int | None
    local: bool
    owner: int = 0
    spots: int = 0
    trainings: str = ""

    def words(self, duration: Callable[[float], str]) -> list[str]:
        """See ``ThreatScope.words``."""
        users = "all users" if self.users is None else f"{self.users:,} users"
        what = f"{counted(self.cells, 'attack')}, {counted(self.calls, 'API call')}"
        time = f"about {duration(self.seconds)} for asking and copying"
        lines = [f"{what}, measured on {users}; {time}"]
        if self.trainings:
            lines.append(f"training comes on top: {self.trainings}")
        if self.owner:
            lines.append(
                f"{counted(self.owner, 'more API call')} in the owner's name: a check, and its own "
                "lists"
            )
        if self.finished:
            lines.append(
                f"{counted(self.finished, 'attack')} finished earlier: no call of them is repeated"
            )
        if self.spots:
            lines.append(
                f"{counted(self.spots, 'recorded call')} repeated: is it still the same target?"
            )
        return lines


def scope_of(
    plan: ExtractionTables, grid: Grid, *, items: int, finished: int = 0
) -> ExtractionScope:
    """Count, and guess the time of all cells: asking at the plan's rate limit, or a checkpoint's.

    Args:
        plan: what is asked for.
        grid: its cells.
        items: of the catalog.
        finished: how many of them are measured already.
    """
    target = plan.target
    local = target is not None and (target.train is not None or answers_here(str(target.model)))
    workers = plan.engine.processes
    rate = LOCAL_CALLS_PER_SECOND * workers if local else plan.cost.calls_per_second
    copying = [
        surrogate_config(spec.config, calls=spec.calls).epochs * spec.calls / LESSONS_PER_SECOND
        + SECONDS_PER_CELL
        for spec in grid.cells
    ]
    longest = max(copying)
    again = 2 * longest if plan.evaluation.recheck else 0.0
    return ExtractionScope(
        cells=len(grid.cells),
        finished=finished,
        seconds=grid.calls / rate + max(longest, sum(copying) / workers) + again,
        room=_room(grid, items),
        collections=len(grid.collections),
        calls=grid.calls,
        users=plan.evaluation.users,
        local=local,
    )


def _room(grid: Grid, items: int) -> int:
    """Bytes of transcripts, and of surrogates with the state of their training."""
    lists = sum(one.calls * (BYTES_OF_CALL + BYTES_OF_ID * one.k) for one in grid.collections)
    configs = [surrogate_config(spec.config, calls=spec.calls) for spec in grid.cells]
    weights = sum(items * getattr(config, "embedding_dim", 64) for config in configs)
    return lists + BYTES_OF_WEIGHT * weights


def answers_here(spec: str) -> bool:
    """A checkpoint on this machine, guarded or not."""
    file = None if is_folder(spec) else read_guarded(Path(spec).expanduser())
    return is_folder(spec if file is None else file.source)

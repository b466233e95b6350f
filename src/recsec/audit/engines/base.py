"""The contract of an engine: tasks in, results out, nothing shared but the run directory."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from recsec.errors import BudgetExhausted, RecsecError
from recsec.types import Progress

__all__ = ["Engine", "Failure", "Result", "Task", "Work", "run_task"]

Work: TypeAlias = Callable[[dict[str, Any], Progress], dict[str, Any]]
"""A function at module level: JSON data in, JSON data out; files go to the run directory."""


@dataclass(frozen=True)
class Task:
    """Something to do, as plain data that can be sent to another process or machine.

    Attributes:
        id: unique among the tasks of one ``run``.
        work: a function at module level.
        payload: its JSON-able argument.
    """

    id: str
    work: Work
    payload: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """Why a task gave no result.

    Attributes:
        kind: name of the exception.
        message: what was found.
        hint: the next step, if it is known.
        refused: the target or the meter declined, as opposed to something breaking.
        traceback: for the event log; None where the error was raised on purpose.
    """

    kind: str
    message: str
    hint: str | None = None
    refused: bool = False
    traceback: str | None = None


@dataclass(frozen=True)
class Result:
    """What became of a task: a value or a failure.

    Attributes:
        id: of the task.
        value: what the function returned.
        failure: why there is no value.
        seconds: how long it took.
    """

    id: str
    value: dict[str, Any] | None
    failure: Failure | None
    seconds: float


class Engine(Protocol):
    """Runs tasks somewhere."""

    def run(self, tasks: Iterable[Task], *, progress: Progress | None = None) -> Iterator[Result]:
        """Run all tasks; results come as they finish, in any order.

        A task that fails gives a ``Result`` with a failure and stops no other. What a task computes
        must not depend on the engine, on the order, or on what else is running.
        """
        ...


def run_task(task: Task, progress: Progress) -> Result:
    """Run one task in this process; only an interrupt gets through."""
    start = time.monotonic()
    try:
        value = task.work(task.payload, progress)
    except RecsecError as error:
        refused = isinstance(error, BudgetExhausted)
        failure = Failure(type(error).__name__, error.message, error.hint, refused)
    except Exception as error:  # a third class of evidence, not the end of the audit
        text = f"{type(error).__name__}: {error}"
        failure = Failure(
            type(error).__name__, text, None, traceback="".join(traceback.format_exception(error))
        )
    else:
        return Result(task.id, value, None, time.monotonic() - start)
    return Result(task.id, None, failure, time.monotonic() - start)

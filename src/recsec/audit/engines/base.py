"""The contract of an engine: tasks in, results out, nothing shared but the run directory."""

from __future__ import annotations

import importlib
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias

from pydantic import BaseModel, ConfigDict

from recsec.errors import BudgetExhausted, RecsecError
from recsec.types import Progress

__all__ = ["Engine", "Failure", "Payload", "Result", "Task", "Work", "named", "run_packed"]


class Payload(BaseModel):
    """What a task is told, or what it tells; JSON only at the border of an engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def decides(self) -> dict[str, Any]:
        """The part on which the result of the task depends, besides the run's inputs."""
        return self.model_dump(mode="json")


Work: TypeAlias = Callable[[Any, Progress], BaseModel]
"""A function at module level: a ``Payload`` in, a model out; files go to the run directory."""


@dataclass(frozen=True)
class Task:
    """Something to do.

    Attributes:
        id: unique among the tasks of one ``run``.
        work: a function at module level.
        payload: its argument.
        leaves: files and folders of the run directory that it leaves there; when one of them is
            gone, the task is done again.
        whole: whether what it left is complete, where that has to be looked at.
    """

    id: str
    work: Work
    payload: Payload
    leaves: tuple[str, ...] = ()
    whole: Callable[[], bool] | None = None

    def pack(self) -> dict[str, Any]:
        """The task as JSON, for another process or machine."""
        return {
            "id": self.id,
            "work": _named(self.work),
            "kind": _named(type(self.payload)),
            "payload": self.payload.model_dump(mode="json"),
        }


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
        value: what the function returned, as JSON.
        failure: why there is no value.
        seconds: how long it took.
    """

    id: str
    value: dict[str, Any] | None
    failure: Failure | None
    seconds: float


class Engine(Protocol):
    """Runs tasks somewhere."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, tasks: Iterable[Task], *, progress: Progress | None = None) -> Iterator[Result]:
        """Run all tasks; results come as they finish, in any order.

        A task that fails gives a ``Result`` with a failure and stops no other. What a task computes
        must not depend on the engine, on the order, or on what else is running.
        """
        ...


def run_packed(packed: dict[str, Any], progress: Progress) -> Result:
    """Run a packed task in this process; only an interrupt gets through."""
    name: str = packed["id"]
    start = time.monotonic()
    try:
        payload = _found(packed["kind"]).model_validate(packed["payload"])
        value = _found(packed["work"])(payload, progress).model_dump(mode="json")
    except RecsecError as error:
        refused = isinstance(error, BudgetExhausted)
        failure = Failure(type(error).__name__, error.message, error.hint, refused)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a third class of evidence, and no plugin ends the audit
        text = f"{type(error).__name__}: {error}"
        failure = Failure(
            type(error).__name__, text, None, traceback="".join(traceback.format_exception(error))
        )
    else:
        return Result(name, value, None, time.monotonic() - start)
    return Result(name, None, failure, time.monotonic() - start)


def named(progress: Progress, name: str) -> Progress:
    """Progress under the name of a task: several report side by side."""

    def report(what: str, done: int, total: int) -> None:
        detail = what.partition(" | ")[2]
        progress(f"{name} | {detail}" if detail else name, done, total)

    return report


def _named(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


def _found(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)

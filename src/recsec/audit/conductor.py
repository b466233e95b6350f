"""Tasks of a run: done once, counted, and their failures kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from recsec import errors
from recsec.audit.engines import Engine, Failure, Task
from recsec.errors import RecsecError, RunError
from recsec.runs import RunDirectory
from recsec.types import Progress

__all__ = ["Conductor"]

Value = TypeVar("Value", bound=BaseModel)


def _silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass
class _Bar:
    """One line of progress for many tasks: how many are done, and what one of them is doing.

    A single task shows its own progress instead.
    """

    what: str
    total: int
    done: int
    progress: Progress

    def say(self, detail: str = "") -> None:
        if self.total > 1:
            self.progress(f"{self.what} | {detail}" if detail else self.what, self.done, self.total)

    def hear(self, what: str, done: int, total: int) -> None:
        if self.total == 1:
            self.progress(what, done, total)
            return
        name, _, detail = what.partition(" | ")
        share = f"{name} {100 * done // max(1, total)} %"
        self.say(f"{share}, {detail}" if detail else share)


@dataclass
class Conductor:
    """Hands the work of one process on a run to an engine.

    Attributes:
        run: the run directory.
        engine: where tasks run.
        progress: is told how it goes.
        failures: by task.
    """

    run: RunDirectory
    engine: Engine
    progress: Progress | None
    failures: dict[str, Failure] = field(default_factory=dict)

    def same(self, name: str, now: dict[str, Any]) -> None:
        """Refuse to go on with other inputs than the finished work saw.

        Args:
            name: of the record.
            now: what -> fingerprint; a value of None was not known when the run was begun.

        Raises:
            RunError: they changed since the run was begun.
        """
        before = self.run.done(name)
        if before is None:
            self.run.finish(name, now)
            return
        for what, value in now.items():
            if before.get(what) != value:
                raise RunError(
                    f"the {what} of {self.run.path} changed since the run was begun",
                    hint="give --out another folder, or bring the old one back",
                )

    def do(
        self,
        tasks: list[Task],
        *,
        what: str,
        engine: Engine | None = None,
    ) -> None:
        """Run the tasks that are not finished; keep results and failures."""
        todo = [task for task in tasks if self.run.done(task.id) is None]
        bar = _Bar(what, len(tasks), len(tasks) - len(todo), self.progress or _silent)
        bar.say()
        for result in (engine or self.engine).run(todo, progress=bar.hear):
            self.run.add_seconds(result.id, result.seconds)
            if result.failure is None and result.value is not None:
                self.run.finish(result.id, result.value)
            elif result.failure is not None:
                self.failures[result.id] = result.failure
                self.run.record("failed", task=result.id, **vars(result.failure))
            bar.done += 1
            bar.say()

    def need(self, name: str, kind: type[Value]) -> Value:
        """The result of a task without which there is no audit.

        Raises:
            RecsecError: as the task did.
        """
        failure = self.failures.get(name)
        if failure is not None:
            raised: type[RecsecError] = getattr(errors, failure.kind, RecsecError)
            raise raised(failure.message, hint=failure.hint)
        return kind.model_validate(self.run.done(name))

"""Tasks of a run: done once, counted, and their failures kept."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from recsec import errors
from recsec.audit.engines import Engine, Failure, Task
from recsec.errors import RecsecError, RunError
from recsec.runs import REDO, RunDirectory, digest
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


def _key(task: Task, run: RunDirectory) -> str:
    """What decides the result of a task, wherever the run directory is."""
    return digest(_anywhere(task.payload.decides(), str(run.path)))


def _anywhere(value: Any, run: str) -> Any:
    """JSON data with the paths of a run directory as they are in every other one."""
    if isinstance(value, dict):
        return {key: _anywhere(item, run) for key, item in value.items()}
    if isinstance(value, list):
        return [_anywhere(item, run) for item in value]
    if isinstance(value, str) and (value == run or value.startswith(f"{run}{os.sep}")):
        return f"RUN{value.removeprefix(run)}"
    return value


def _move(start: Path, end: Path) -> None:
    if start.exists() and not end.exists():
        end.parent.mkdir(parents=True, exist_ok=True)
        start.rename(end)


@dataclass
class Conductor:
    """Hands the work of one process on a run to an engine.

    Attributes:
        run: the run directory.
        engine: where tasks run.
        progress: is told how it goes.
        same_answers: inputs that only answer may have changed, as the user says that their answers
            have not: recorded ones are asked again.
        failures: by task.
    """

    run: RunDirectory
    engine: Engine
    progress: Progress | None
    same_answers: bool = False
    failures: dict[str, Failure] = field(default_factory=dict)

    def same(self, name: str, now: Mapping[str, str], *, answering: Collection[str] = ()) -> bool:
        """Refuse to go on with other inputs than the finished work saw.

        Args:
            name: of the record.
            now: what -> fingerprint.
            answering: those that only answer: with ``same_answers`` they may have changed.

        Returns:
            False where that is so: ``keep`` the inputs once the answers were found to be the same.

        Raises:
            RunError: they changed since the run was begun.
        """
        before = self.run.done(name) or {}
        changed = [what for what, value in now.items() if before.get(what, value) != value]
        for what in changed:
            allowed = what in answering
            if not (allowed and self.same_answers):
                more = ", or --same-answers if it answers as before" if allowed else ""
                raise RunError(
                    f"{what} changed since the run in {self.run.path} was begun: its check sum "
                    f"was {before[what][:12]}, now it is {now[what][:12]}",
                    hint=f"give --out another folder, or bring the old one back{more}",
                )
        if not changed:
            self.keep(name, now)
        return not changed

    def keep(self, name: str, now: Mapping[str, str]) -> None:
        """Note the inputs that finished work has seen from now on."""
        before = self.run.done(name) or {}
        if before != {**before, **now}:
            self.run.finish(name, {**before, **now})

    def finished(self, task: Task) -> bool:
        """Whether a task was done as it is asked now, and what it left is there.

        Raises:
            RunError: what it left is damaged.
        """
        if self._told(task) not in (None, _key(task, self.run)) or not self.run.done(task.id):
            return False
        there = all((self.run.path / name).exists() for name in task.leaves)
        return there and (task.whole is None or task.whole())

    def _told(self, task: Task) -> str | None:
        """What decided the result of a task when it was last begun, if it ever was."""
        found = self.run.done(f"{task.id}.told")
        return None if found is None else str(found["key"])

    def _begin(self, task: Task) -> None:
        """Note what a task is told; put aside what it left when it was told something else.

        It comes back when a task is told the same again.
        """
        key, told = _key(task, self.run), self._told(task)
        if told == key:
            return
        for name in (self.run.cell(task.id), *task.leaves):
            here = self.run.path / name
            if told is not None:
                _move(here, self.run.path / "aside" / told[:16] / name)
                _move(self.run.path / "aside" / key[:16] / name, here)
        self.run.finish(f"{task.id}.told", {"key": key})

    def do(
        self,
        tasks: list[Task],
        *,
        what: str,
        engine: Engine | None = None,
    ) -> None:
        """Run the tasks that are not finished; keep results and failures."""
        for task in tasks:
            self._begin(task)
        todo = [task for task in tasks if not self.finished(task)]
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
        try:
            return kind.model_validate(self.run.done(name))
        except ValidationError as error:
            raise RunError(
                f"{self.run.path / self.run.cell(name)} was written by another version", hint=REDO
            ) from error

"""Run a plan: train or open the target, ask, copy, measure, judge, report; resumable everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recsec import errors
from recsec.attacks.extraction import make_policy, surrogate_config
from recsec.audit import work
from recsec.audit.answers import drawn_users
from recsec.audit.assemble import Gathered, assemble
from recsec.audit.cells import CellSpec, Grid, expand
from recsec.audit.engines import Engine, Failure, LocalEngine, Task
from recsec.audit.gate import gate_policy
from recsec.audit.opening import checkpoint_fingerprint, is_checkpoint, open_data, open_model
from recsec.audit.plan import Plan
from recsec.audit.scope import Scope, scope_of
from recsec.audit.twins import twin_recipes
from recsec.data import Dataset, Split
from recsec.errors import ConfigError, RecsecError, RunError
from recsec.registry import registry
from recsec.reports import GatePolicy, Report, render
from recsec.rng import Streams
from recsec.runs import RunDirectory
from recsec.types import Progress

__all__ = ["run_audit"]


def run_audit(
    plan: Plan,
    out: Path | str,
    *,
    command: str,
    authorised: bool = False,
    policy: GatePolicy | None = None,
    engine: Engine | None = None,
    announce: Callable[[Scope], None] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run a plan in a run directory, or continue it, and write the report there.

    A module that calls this from a script needs the usual ``if __name__ == "__main__":``, because
    workers are spawned.

    Args:
        plan: what to do.
        out: the run directory.
        command: what the user typed, for the report.
        authorised: the owner of a target beyond this machine agreed.
        policy: thresholds that override the plan's.
        engine: where tasks run; by default processes of this machine.
        announce: is told what is going to happen before the first query.
        progress: is told how it goes.

    Returns:
        The report; it is also in ``report.json``, ``report.html``, ``junit.xml``, ``sarif.json``.

    Raises:
        ConfigError: the plan names something that does not exist or does not fit.
        DataError, CheckpointError, TargetError: data or target are missing or broken.
        RunError: the run directory is busy, broken or another plan's.
    """
    grid = expand(plan)
    _check_attacks(grid, plan)
    dataset, split = open_data(plan.target.data, plan.target.columns)
    if plan.target.model is not None:
        open_model(plan.target.model, dataset, authorised=authorised)
    threads = plan.engine.threads
    with (
        RunDirectory.create_or_resume(out, "audit", plan.evidence(), threads=threads) as run,
        LocalEngine(workers=plan.engine.processes, threads=threads) as local,
    ):
        session = _Session(plan, grid, run, dataset, engine or local, authorised, progress)
        session.same_inputs()
        if announce is not None:
            finished = sum(run.done(cell.id) is not None for cell in grid.cells)
            announce(scope_of(plan, grid, finished=finished))
        found = session.gather(split, _public_command(command, plan))
        public = plan.public()
        report = assemble(public, grid, run, dataset, found, policy or gate_policy(plan.gate))
        with run.timed("render"):
            run.write_json("report.json", report.model_dump(mode="json"))
            render(run.path)
        run.record("reported", level=report.verdict.level, passed=report.verdict.passed)
    return report


def _public_command(command: str, plan: Plan) -> str:
    """The command as typed, without what an address in it may hide."""
    secret, shown = plan.target.model, plan.public().target.model
    return command if secret is None or shown is None else command.replace(secret, shown)


def _check_attacks(grid: Grid, plan: Plan) -> None:
    """Find settings that do not fit before anything is trained or asked.

    Raises:
        ConfigError: with the cell and what does not fit.
    """
    for spec in grid.cells:
        try:
            make_policy(spec.config, items=1)
            surrogate_config(spec.config, calls=spec.calls)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise ConfigError(
                f"the cell {spec.id}: {where}: {fault['msg']}",
                hint="recsec list policies and recsec list models print the settings there are",
            ) from error
    if plan.target.train is not None:
        registry("models").get(plan.target.train)


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
class _Session:
    """The work of one process on a run."""

    plan: Plan
    grid: Grid
    run: RunDirectory
    dataset: Dataset
    engine: Engine
    authorised: bool
    progress: Progress | None
    failures: dict[str, Failure] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """Where the target is: as the plan says, or in the run directory."""
        return self.plan.target.model or str(self.run.path / "target")

    def same_inputs(self) -> None:
        """Refuse to go on with other data or other weights than the finished work saw.

        Raises:
            RunError: they changed since the run was begun.
        """
        now = {"data": self.dataset.fingerprint, "target": None}
        model = self.plan.target.model
        if model is not None and is_checkpoint(model):
            now["target"] = checkpoint_fingerprint(Path(model).expanduser())
        before = self.run.done("inputs")
        if before is None:
            self.run.finish("inputs", now)
            return
        for name, value in now.items():
            if before.get(name) != value:
                raise RunError(
                    f"the {name} of {self.run.path} changed since the run was begun",
                    hint="give --out another folder, or bring the old one back",
                )

    def payload(self, **more: Any) -> dict[str, Any]:
        """What every task is told."""
        return {
            "run": str(self.run.path),
            "data": self.plan.target.data,
            "columns": self.plan.target.columns,
            "model": self.model,
            "authorised": self.authorised,
            "evaluation": self.plan.evaluation.model_dump(mode="json"),
            "device": self.plan.engine.device,
            **more,
        }

    def do(self, tasks: list[Task], *, what: str, engine: Engine | None = None) -> None:
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

    def need(self, name: str) -> dict[str, Any]:
        """The result of a task without which there is no audit.

        Raises:
            RecsecError: as the task did.
        """
        failure = self.failures.get(name)
        if failure is not None:
            kind = getattr(errors, failure.kind, RecsecError)
            raise kind(failure.message, hint=failure.hint)
        return self.run.done(name) or {}

    def gather(self, split: Split, command: str) -> Gathered:
        """Do everything that is not done yet."""
        recipes, no_twin = twin_recipes(self.plan.target, self.dataset.fingerprint)
        twins = [self._twin(recipe) for recipe in recipes]
        if self.plan.target.train is not None:
            training = Task("train-target", work.train, self._own_training())
            self.do([training], what="target")
            self.need("train-target")
        elif not is_checkpoint(self.model):
            longest = max(spec.k for spec in self.grid.cells)
            check = Task("check-target", work.check_target, self.payload(k=longest))
            self.do([check], what="check")
            self.need("check-target")
        self.do([Task("measure-target", work.measure_target, self.payload())], what="measurement")
        target = self.need("measure-target")
        alone = LocalEngine(workers=1, threads=self.plan.engine.threads)
        polite = None if is_checkpoint(self.model) else alone
        self.do(self._collections(), what="collections", engine=polite)
        self.do([*twins, *self._copies()], what="cells and twins")
        measured = {task.id: task.payload["seed"] for task in twins if task.id not in self.failures}
        if twins and not measured:
            no_twin = f"its training failed: {self.failures[twins[0].id].message}"
        rng = Streams(self.plan.evaluation.seed).numpy("users")
        return Gathered(
            target=target,
            users=drawn_users(split, self.plan.evaluation.users, rng),
            twins=measured,
            no_twin=no_twin,
            failures=self._failed_cells(),
            command=command,
        )

    def _own_training(self) -> dict[str, Any]:
        target = self.plan.target
        return self.payload(
            name="train the target",
            train=target.train,
            settings=target.settings,
            seed=target.seed,
            out=self.model,
        )

    def _twin(self, recipe: dict[str, Any]) -> Task:
        name = f"twin-{recipe['seed']}"
        payload = self.payload(
            **recipe, id=name, name=f"train {name}", out=str(self.run.path / "twins" / name)
        )
        return Task(name, work.measure_twin, payload)

    def _collections(self) -> list[Task]:
        return [
            Task(
                f"ask-{collection.id}",
                work.collect_calls,
                self.payload(
                    id=collection.id,
                    attack=collection.config.model_dump(mode="json"),
                    k=collection.k,
                    calls=collection.calls,
                    seed=collection.seed,
                ),
            )
            for collection in self.grid.collections
        ]

    def _copies(self) -> list[Task]:
        """The cells whose calls were all answered, the most expensive first."""
        ready = [spec for spec in self.grid.cells if f"ask-{spec.collection}" not in self.failures]
        return [self._copy(spec) for spec in sorted(ready, key=lambda spec: -spec.calls)]

    def _copy(self, spec: CellSpec) -> Task:
        payload = self.payload(
            id=spec.id,
            collection=spec.collection,
            attack=spec.config.model_dump(mode="json"),
            calls=spec.calls,
            seed=spec.seed,
        )
        return Task(spec.id, work.fit_copy, payload)

    def _failed_cells(self) -> dict[str, Failure]:
        """By cell: its own failure, or that of the queries it depends on."""
        found = {}
        for spec in self.grid.cells:
            failure = self.failures.get(spec.id) or self.failures.get(f"ask-{spec.collection}")
            if failure is not None:
                found[spec.id] = failure
        return found

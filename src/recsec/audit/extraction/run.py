"""The extraction part of an audit: train or open the target, ask, copy, measure; resumable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recsec.attacks.extraction import make_policy, surrogate_config
from recsec.audit.conductor import Conductor
from recsec.audit.engines import Failure, LocalEngine, Task
from recsec.audit.extraction import work
from recsec.audit.extraction.cells import CellSpec, Grid
from recsec.audit.extraction.desk import Gathered, defense_id
from recsec.audit.extraction.leaks import audience
from recsec.audit.extraction.opening import checkpoint_fingerprint, is_checkpoint
from recsec.audit.extraction.twins import twin_recipes
from recsec.audit.plan import Plan, TargetPlan
from recsec.data import Dataset, Split
from recsec.errors import ConfigError
from recsec.registry import registry

__all__ = ["ExtractionRun", "check_attacks"]


def check_attacks(grid: Grid, plan: Plan) -> None:
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
    if plan.target is not None and plan.target.train is not None:
        registry("models").get(plan.target.train)


@dataclass
class ExtractionRun:
    """The work of one process on extraction."""

    plan: Plan
    target: TargetPlan
    grid: Grid
    dataset: Dataset
    authorised: bool
    conductor: Conductor

    @property
    def model(self) -> str:
        """Where the target is: as the plan says, or in the run directory."""
        return self.target.model or str(self.conductor.run.path / "target")

    def same_inputs(self) -> None:
        """Refuse to go on with other data or other weights than the finished work saw.

        Raises:
            RunError: they changed since the run was begun.
        """
        now: dict[str, str | None] = {"data": self.dataset.fingerprint, "target": None}
        model = self.target.model
        if model is not None and is_checkpoint(model):
            now["target"] = checkpoint_fingerprint(Path(model).expanduser())
        for defense in self.plan.defense:
            now |= defense.content()
        self.conductor.same("inputs", now)

    def payload(self, **more: Any) -> dict[str, Any]:
        """What every task is told."""
        return {
            "run": str(self.conductor.run.path),
            "data": self.target.data,
            "columns": self.target.columns,
            "model": self.model,
            "guards": None,
            "authorised": self.authorised,
            "evaluation": self.plan.evaluation.model_dump(mode="json"),
            "leak": self.grid.leak,
            "device": self.plan.engine.device,
            **more,
        }

    def gather(self, split: Split) -> Gathered:
        """Do everything that is not done yet."""
        recipes, no_twin = twin_recipes(self.target, self.dataset.fingerprint)
        twins = [self._twin(recipe) for recipe in recipes]
        if self.target.train is not None:
            training = Task("train-target", work.train, self._own_training())
            self.conductor.do([training], what="target")
            self.conductor.need("train-target")
        elif not is_checkpoint(self.model):
            longest = max(spec.k for spec in self.grid.cells)
            check = Task("check-target", work.check_target, self.payload(k=longest))
            self.conductor.do([check], what="check")
            self.conductor.need("check-target")
        self.conductor.do(
            [Task("measure-target", work.measure_target, self.payload())], what="measurement"
        )
        target = self.conductor.need("measure-target")
        self.conductor.do(self._defenses(), what="defenses")
        alone = LocalEngine(workers=1, threads=self.plan.engine.threads)
        polite = None if is_checkpoint(self.model) else alone
        self.conductor.do(self._collections(), what="collections", engine=polite)
        self.conductor.do([*twins, *self._floors(), *self._copies()], what="cells and twins")
        measured = {
            task.id: task.payload["seed"]
            for task in twins
            if task.id not in self.conductor.failures
        }
        if twins and not measured:
            no_twin = f"its training failed: {self.conductor.failures[twins[0].id].message}"
        chosen = self.plan.evaluation
        return Gathered(
            target=target,
            defenses={
                defense.name: self.conductor.failures.get(defense_id(defense.name))
                or self.conductor.need(defense_id(defense.name))
                for defense in self.plan.defense
            },
            users=audience(split, users=chosen.users, seed=chosen.seed, leak=self.grid.leak),
            twins=measured,
            no_twin=no_twin,
            failures=self._failed_cells(),
        )

    def _own_training(self) -> dict[str, Any]:
        target = self.target
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
            **recipe,
            id=name,
            name=f"train {name}",
            out=str(self.conductor.run.path / "twins" / name),
        )
        return Task(name, work.measure_twin, payload)

    def _before(self, name: str) -> dict[str, Any]:
        """What a defense puts between the thief and the target: nothing for the bare one."""
        found = {
            defense.name: {"model": defense.model or self.model, "guards": defense.tables}
            for defense in self.plan.defense
        }
        return found.get(name, {})

    def _defenses(self) -> list[Task]:
        """The lists that users get from every defense."""
        return [
            Task(
                defense_id(defense.name),
                work.measure_defense,
                self.payload(
                    id=defense_id(defense.name), name=defense.name, **self._before(defense.name)
                ),
            )
            for defense in self.plan.defense
        ]

    def _collections(self) -> list[Task]:
        """The queries to every defense that answered its owner."""
        return [
            Task(
                f"ask-{collection.id}",
                work.collect_calls,
                self.payload(
                    **self._before(collection.defense),
                    id=collection.id,
                    attack=collection.config.model_dump(mode="json"),
                    k=collection.k,
                    calls=collection.calls,
                    seed=collection.seed,
                ),
            )
            for collection in self.grid.collections
            if defense_id(collection.defense) not in self.conductor.failures
        ]

    def _floors(self) -> list[Task]:
        """What thieves with leaked histories know without a call."""
        return [
            Task(
                name,
                work.measure_leak,
                self.payload(id=name, attack=config.model_dump(mode="json")),
            )
            for name, config in self.grid.floors.items()
        ]

    def _copies(self) -> list[Task]:
        """The cells whose calls were all answered, the most expensive first."""
        ready = [
            spec
            for spec in self.grid.cells
            if not {f"ask-{spec.collection}", defense_id(spec.defense)}
            & set(self.conductor.failures)
        ]
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
        """By cell: its own failure, or that of the queries, floor or defense it depends on."""
        found = {}
        for spec in self.grid.cells:
            failures = self.conductor.failures
            needed = (spec.id, f"ask-{spec.collection}", spec.floor, defense_id(spec.defense))
            failure = next((failures[name] for name in needed if name in failures), None)
            if failure is not None:
                found[spec.id] = failure
        return found

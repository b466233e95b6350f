"""The extraction part of an audit: train or open the target, ask, copy, measure; resumable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import count, takewhile
from typing import Any, TypeVar

from recsec.audit.conductor import Conductor
from recsec.audit.engines import Failure, LocalEngine, Task
from recsec.audit.extraction import tasks, work
from recsec.audit.extraction.cells import CellSpec, Collection, Grid
from recsec.audit.extraction.evidence.answers import answers_file
from recsec.audit.extraction.evidence.audience import audience
from recsec.audit.extraction.evidence.desk import Desk, Gathered, defense_id
from recsec.audit.extraction.part import Recheck, extraction_part
from recsec.audit.extraction.plan import ExtractionTables, TargetPlan
from recsec.audit.extraction.scope import ExtractionScope, answers_here, scope_of
from recsec.audit.extraction.twins import TwinOf, twin_recipes
from recsec.audit.threat import Found, Interim, ThreatRun
from recsec.data import Dataset, Split
from recsec.reports import ExtractionGate, GatePolicy, Metrics
from recsec.sources import is_folder
from recsec.targets import ASKINGS, SPOTS, recorded, recorded_unknown, requests, target_digests
from recsec.text import counted
from recsec.types import IntArray

__all__ = ["ExtractionRun"]

INPUTS = "inputs"

MANY_SPOTS = 30
"""Recorded calls that are asked again when a target has changed, but its answers have not."""

Told = TypeVar("Told", bound=tasks.Scene)


@dataclass
class ExtractionRun(ThreatRun):
    """The work of one process on extraction."""

    plan: ExtractionTables
    target: TargetPlan
    grid: Grid
    dataset: Dataset
    split: Split
    authorised: bool
    conductor: Conductor

    @property
    def model(self) -> str:
        """Where the target is: as the plan says, or in the run directory."""
        return self.target.model or str(self.conductor.run.path / "target")

    def same_inputs(self) -> None:
        """See ``ThreatRun.same_inputs``: the data, the weights, and what defenses name."""
        self.conductor.same(INPUTS, self._inputs(), answering=self._answering())

    def _inputs(self) -> dict[str, str]:
        """Digests of all that answers depend on."""
        found = {f"the data {self.target.data}": self.dataset.fingerprint} | self._answering()
        if self.target.model is not None:
            found |= target_digests(self.target.model)
        for defense in self.plan.defense:
            found |= defense.content()
        return found

    def _answering(self) -> dict[str, str]:
        """Those of a target that only answers, and so can be asked whether it has changed."""
        return target_digests(str(self.target.model)) if self._only_answers else {}

    @property
    def _only_answers(self) -> bool:
        """Whether nothing is known of the target but what it answers."""
        return self.target.model is not None and not answers_here(self.target.model)

    def scope(self) -> ExtractionScope:
        """See ``ThreatRun.scope``."""
        done = self.conductor.run.done
        finished = sum(done(cell.id) is not None for cell in self.grid.cells)
        scope = scope_of(self.plan, self.grid, items=len(self.dataset.catalog), finished=finished)
        return replace(
            scope,
            owner=self._owners_calls(),
            spots=self._spots(),
            trainings=self._trainings(),
        )

    def _trainings(self) -> str:
        """What is trained beside the copies and is not there yet, in words."""
        done = self.conductor.run.done
        recipes, _ = twin_recipes(self.target, self.dataset.fingerprint)
        twins = sum(done(f"twin-{recipe.seed}") is None for recipe in recipes)
        own = self.target.train is not None and done("train-target") is None
        found = ["the target"] if own else []
        if twins:
            alike = self.target.train is None and self.target.twins.model is None
            found.append(f"{counted(twins, 'twin')}{', as long as the target took' * alike}")
        return " and ".join(found)

    def _owners_calls(self) -> int:
        """How many calls are still to be made in the owner's name, of a target that is no model."""
        if is_folder(self.model):
            return 0
        users = len(self._users())
        asked = sum(recorded(self.conductor.run.path / name) for name in (work.CHECK, work.OWNED))
        return max(0, users + ASKINGS * min(users, work.CHECKED_USERS) - asked)

    def measure(self, policy: GatePolicy, *, interim: Interim) -> Found:
        """See ``ThreatRun.measure``; there is no interim evidence."""
        del interim
        public = self.plan.public()
        rules = policy.of(ExtractionGate)
        desk = Desk(public, self.grid, self.conductor.run, self.dataset, self.gather())
        again = self._recheck(desk, rules)
        found = extraction_part(desk, public.target or self.target, again, rules)
        self._count_requests()
        return found

    def _recheck(self, desk: Desk, policy: ExtractionGate) -> Recheck | None:
        """Train the deciding copy again: by the default recipe, or longer where it has that.

        A level that is high already needs no better thief.
        """
        spec = desk.deciding(policy.max_calls) if self.plan.evaluation.recheck else None
        if spec is None or _decided(desk.metrics([spec.id], floor=spec.floor), policy):
            return None
        own = spec.config.surrogate_settings
        told = self.told(
            tasks.Recopying,
            id=f"again-{spec.id}",
            collection=spec.collection,
            attack=spec.config.model_copy(update={"surrogate_settings": {}}),
            calls=spec.calls,
            seed=spec.seed,
            longer=1 if own else 2,
        )
        leaves = (answers_file(told.id), f"surrogate/{told.id}")
        self.conductor.do([Task(told.id, work.fit_copy, told, leaves=leaves)], what="recheck")
        how = "by the default recipe" if own else "with twice the passes"
        return Recheck(spec, told.id, how, self.conductor.failures.get(told.id))

    def _count_requests(self) -> None:
        """Keep what the target was sent: more than the calls, where a run was interrupted."""
        run = self.conductor.run
        folders = [run.path / name for name in (work.CHECK, work.OWNED)]
        folders += [run.path / "transcript" / one.id for one in self.grid.collections]
        sent = sum(map(requests, folders))
        if sent:
            spots = (run.done(f"spot-check-{n}") for n in count(1))
            again = sum(spot["calls"] for spot in takewhile(bool, spots) if spot)
            calls = sum(map(recorded, folders))
            run.remark("requests", {"calls": calls, "sent": sent, "spot_checks": again})

    def told(self, kind: type[Told], **more: Any) -> Told:
        """What a task is told: the scene, and what only it needs."""
        scene: dict[str, Any] = {
            "run": str(self.conductor.run.path),
            "data": self.target.data,
            "reading": self.target.reading,
            "model": self.model,
            "authorised": self.authorised,
            "evaluation": self.plan.evaluation,
            "leak": self.grid.leak,
            "device": self.plan.engine.device,
        }
        return kind(**(scene | more))

    def gather(self) -> Gathered:
        """Do everything that is not done yet."""
        recipes, no_twin = twin_recipes(self.target, self.dataset.fingerprint)
        twins = {f"twin-{recipe.seed}": recipe for recipe in recipes}
        if self.target.train is not None:
            training = Task(
                "train-target",
                work.train,
                self._own_training(self.target.train),
                leaves=("target",),
                whole=(self.conductor.run.path / "target" / "model.safetensors").exists,
            )
            self.conductor.do([training], what="target")
            self.conductor.need("train-target", tasks.Trained)
        measuring = Task(
            "measure-target",
            work.measure_target,
            self.told(tasks.Scene),
            leaves=(answers_file("target"), answers_file("floor")),
        )
        told = self.told(tasks.Checking, k=max(spec.k for spec in self.grid.cells))
        check = Task("check-target", work.check_target, told)
        if not is_folder(self.model):
            check = replace(check, leaves=(work.CHECK,))
            measuring = replace(measuring, leaves=(*measuring.leaves, work.OWNED))
            self._spot_check()
        self.conductor.do([check], what="check")
        checked = self.conductor.need("check-target", tasks.Checked)
        self.conductor.do([measuring], what="measurement")
        target = self.conductor.need("measure-target", tasks.AboutTarget)
        self.conductor.do(self._defenses(), what="defenses")
        alone = LocalEngine(workers=1, threads=self.plan.engine.threads)
        polite = None if is_folder(self.model) else alone
        self.conductor.do(self._collections(), what="collections", engine=polite)
        last = [*(self._twin(*one) for one in twins.items()), *self._floors(), *self._copies()]
        self.conductor.do(last, what="cells and twins")
        failures = self.conductor.failures
        measured = {name: recipe.seed for name, recipe in twins.items() if name not in failures}
        if twins and not measured:
            no_twin = f"its training failed: {failures[next(iter(twins))].message}"
        return Gathered(
            target=target,
            defects=checked.defects,
            unknown=recorded_unknown(self.conductor.run.path / work.OWNED),
            defenses={
                defense.name: failures.get(defense_id(defense.name))
                or self.conductor.need(defense_id(defense.name), tasks.MeasuredDefense)
                for defense in self.plan.defense
            },
            users=self._users(),
            twins=measured,
            no_twin=no_twin,
            failures=self._failed_cells(),
            copied=self._copied(),
        )

    def _spot_check(self) -> None:
        """Ask a few recorded calls again, where a run is resumed that has more to ask.

        Where the target has changed, and the user says that its answers have not, it is more.

        Raises:
            RunError: the target is another one now.
        """
        spots = self._spots()
        if spots:
            run = self.conductor.run
            number = next(n for n in count(1) if run.done(f"spot-check-{n}") is None)
            name = f"spot-check-{number}"
            told = self.told(tasks.Spotting, record=work.OWNED, count=spots)
            self.conductor.do([Task(name, work.spot_check, told)], what="spot check")
            self.conductor.need(name, tasks.Spotted)
        self.conductor.keep(INPUTS, self._inputs())

    def _spots(self) -> int:
        """How many recorded calls are going to be asked again."""
        if not self._only_answers:
            return 0
        owned = recorded(self.conductor.run.path / work.OWNED)
        same = self.conductor.same(INPUTS, self._inputs(), answering=self._answering())
        left = owned < len(self._users()) or not all(map(self._asked, self.grid.collections))
        if same and not left:
            return 0
        return min(owned, SPOTS if same else MANY_SPOTS)

    def _users(self) -> IntArray:
        """``(U,)`` on whom fidelity is measured."""
        chosen = self.plan.evaluation
        return audience(self.split, users=chosen.users, seed=chosen.seed, leak=self.grid.leak)

    def _own_training(self, architecture: str) -> tasks.Training:
        return self.told(
            tasks.Training,
            name="train the target",
            train=architecture,
            settings=self.target.settings,
            seed=self.target.seed,
            out=self.model,
        )

    def _twin(self, name: str, recipe: TwinOf) -> Task:
        told = self.told(
            tasks.MeasuringTwin,
            id=name,
            name=f"train {name}",
            train=recipe.train,
            settings=recipe.settings,
            seed=recipe.seed,
            out=str(self.conductor.run.path / "twins" / name),
        )
        leaves = (answers_file(name), f"twins/{name}")
        return Task(name, work.measure_twin, told, leaves=leaves)

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
                defense_id(name),
                work.measure_defense,
                self.told(
                    tasks.MeasuringDefense, id=defense_id(name), name=name, **self._before(name)
                ),
                leaves=(answers_file(defense_id(name)), f"owner-{name}"),
            )
            for name in (defense.name for defense in self.plan.defense)
        ]

    def _collections(self) -> list[Task]:
        """The queries to every defense that answered its owner."""
        return [
            Task(
                f"ask-{collection.id}",
                work.collect_calls,
                self.told(
                    tasks.Collecting,
                    **self._before(collection.defense),
                    id=collection.id,
                    attack=collection.config,
                    k=collection.k,
                    calls=collection.calls,
                    seed=collection.seed,
                ),
                leaves=(f"transcript/{collection.id}",),
                whole=partial(self._asked, collection),
            )
            for collection in self.grid.collections
            if defense_id(collection.defense) not in self.conductor.failures
        ]

    def _asked(self, collection: Collection) -> bool:
        """Whether all calls of a collection are recorded."""
        folder = self.conductor.run.path / "transcript" / collection.id
        return recorded(folder) >= collection.calls

    def _floors(self) -> list[Task]:
        """What thieves with leaked histories know without a call."""
        return [
            Task(
                name,
                work.measure_leak,
                self.told(tasks.Learning, id=name, attack=config),
                leaves=(answers_file(name), f"floors/{name}"),
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
        told = self.told(
            tasks.Copying,
            id=spec.id,
            collection=spec.collection,
            attack=spec.config,
            calls=spec.calls,
            seed=spec.seed,
        )
        leaves = (answers_file(spec.id), f"surrogate/{spec.id}")
        return Task(spec.id, work.fit_copy, told, leaves=leaves)

    def _copied(self) -> dict[str, tasks.Copied]:
        """By cell: what its copy was trained on, and how."""
        failures = self._failed_cells()
        ids = [spec.id for spec in self.grid.cells if spec.id not in failures]
        return {name: self.conductor.need(name, tasks.Copied) for name in ids}

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


def _decided(metrics: Metrics, policy: ExtractionGate) -> bool:
    """Whether a copy makes the level high as it is."""
    metric = metrics.get(policy.metric)
    value = None if metric is None else getattr(metric, policy.statistic)
    return value is not None and value >= policy.high

"""The evasion part of an audit: make and measure the models, attack the pairs, judge; resumable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recsec.attacks.evasion import SAMPLE, knowledge, open_attack
from recsec.audit.conductor import Conductor
from recsec.audit.engines import Failure, LocalEngine, Task
from recsec.audit.evasion import searched, work
from recsec.audit.evasion.cells import CHUNK, EvasionCell, chunks
from recsec.audit.evasion.evidence.rows import Measured, is_before, survivors
from recsec.audit.evasion.evidence.showing import chosen_show, show_map, show_pair
from recsec.audit.evasion.part import Looks, evasion_part
from recsec.audit.evasion.plan import ModelPlan, VisualPlan
from recsec.audit.evasion.scene import Catalog, features_file, quality_file
from recsec.audit.evasion.scope import EvasionScope, evasion_scope
from recsec.audit.evasion.tasks import (
    AboutModel,
    AboutSearch,
    Asking,
    Attacking,
    Checking,
    Drawing,
    Drawn,
    Made,
    Making,
    Mapping,
    Measuring,
    Showing,
)
from recsec.audit.names import Names
from recsec.audit.sections import EnginePlan
from recsec.audit.threat import Found, Interim, ThreatRun
from recsec.errors import ConfigError
from recsec.reports import CatalogMap, EvasionGate, GatePolicy, Journey
from recsec.runs import digest
from recsec.targets import checkpoint_digests
from recsec.targets.visual import SearchFile, is_source, open_source

__all__ = ["EvasionRun"]

NOT_YET = Failure("RunError", "not measured yet: the audit is still running")
UNMEASURED = Failure("RunError", "the attacks whose survivors it needs were not all measured")


@dataclass
class EvasionRun(ThreatRun):
    """The work of one process on evasion."""

    engine: EnginePlan
    plan: VisualPlan
    catalog: Catalog
    cells: tuple[EvasionCell, ...]
    size: int
    searches: dict[str, SearchFile]
    authorised: bool
    conductor: Conductor

    def __post_init__(self) -> None:
        names = Names()
        self.ids = {model.name: names.of(model.name, [model.name]) for model in self.plan.models}
        self.surrogate = names.of("surrogate", ["of the attacker"])

    def scope(self) -> EvasionScope:
        """See ``ThreatRun.scope``."""
        done = self.conductor.run.done
        units = [
            (cell, min(len(numbers), SAMPLE if cell.control else CHUNK), done(task) is not None)
            for cell in self.cells
            for task, numbers in chunks(cell)
        ]
        photos = len(self.catalog.rows)
        return evasion_scope(
            units,
            size=self.size,
            processes=self.engine.processes,
            photos=photos,
            searches=self.searches,
        )

    def folder(self, model: ModelPlan) -> str:
        """Where the checkpoint of a model is: as the plan says, or in the run directory."""
        if model.model is not None:
            source = is_source(model.model)
            return model.model if source else str(Path(model.model).expanduser())
        return str(self.conductor.run.path / "models" / self.ids[model.name])

    def same_inputs(self) -> None:
        """See ``ThreatRun.same_inputs``: photos and weights."""
        now = {f"the photos {self.plan.data}": self.catalog.photos.fingerprint}
        for model in self.plan.models:
            if model.model is None:
                continue
            if model.name in self.searches:
                now[f"how {model.name} is asked"] = self._asked(model)["asked"]
            elif is_source(model.model):
                now[model.model] = open_source(model.model).encoder.fingerprint()
            else:
                now |= checkpoint_digests(Path(self.folder(model)))
        self.conductor.same("visual-inputs", now)

    def about(self, model: ModelPlan | None = None) -> dict[str, Any]:
        """What a task is told of the photos, and of a model."""
        told = {
            "run": str(self.conductor.run.path),
            "data": self.plan.data,
            "device": self.engine.device,
        }
        if model is not None:
            features = self.conductor.run.path / features_file(self.ids[model.name])
            told |= {"folder": self.folder(model), "features": str(features)}
        return told

    def measure(self, policy: GatePolicy, *, interim: Interim) -> Found:
        """See ``ThreatRun.measure``; ``interim`` is told what is known after each grid."""
        mine = policy.of(EvasionGate)
        self._models()
        pairs = self._pairs()
        measured: list[Measured] = []
        stages = sorted({cell.stage for cell in self.cells})
        for stage in stages:
            cells = [cell for cell in self.cells if cell.stage == stage]
            measured += self._attack(cells, pairs, measured)
            if stage not in (stages[0], stages[-1]):
                later = [cell for cell in self.cells if cell.stage > stage]
                waiting = [self._measured(cell, [], NOT_YET) for cell in later]
                interim(self._found([*measured, *waiting], pairs, Looks(), mine))
        return self._found(measured, pairs, self._looks(measured, pairs, mine), mine)

    def _found(
        self, measured: list[Measured], pairs: Drawn, looks: Looks, policy: EvasionGate
    ) -> Found:
        need = self.conductor.need
        facts = {
            name: need(f"check-{id}", AboutSearch)
            if name in self.searches
            else need(f"measure-{id}", AboutModel)
            for name, id in self.ids.items()
        }
        return evasion_part(
            self.plan,
            self.catalog,
            self.conductor.run.path,
            self.ids,
            facts,
            pairs,
            measured,
            looks,
            policy,
        )

    def _models(self) -> None:
        """Look at the searches, train and harden what the plan asks for, and measure all of it."""
        self._shops()
        for model in self.plan.models:
            if model.model is not None:
                continue
            by_name = {one.name: one for one in self.plan.models}
            base = by_name[self.plan.base_of(model)]
            name = self.ids[model.name]
            told = Making(
                **self.about(model),
                name=f"{'train' if model.train else 'harden'} {model.name}",
                train=model.train,
                harden=model.harden,
                base=self.folder(base),
                settings=model.settings,
                seed=model.seed,
            )
            made = self.conductor.run.path / "models" / name / "model.safetensors"
            task = Task(
                f"make-{name}", work.make_model, told, (f"models/{name}",), whole=made.exists
            )
            self.conductor.do([task], what=model.name)
            self.conductor.need(f"make-{name}", Made)
        tasks = [
            Task(
                f"measure-{self.ids[model.name]}",
                work.measure_model,
                Measuring(**self.about(model), id=self.ids[model.name], name=model.name),
                leaves=(features_file(self.ids[model.name]), quality_file(self.ids[model.name])),
            )
            for model in self.plan.models
            if model.name not in self.searches
        ]
        self.conductor.do(tasks, what="quality of the models")
        known = {self.conductor.need(task.id, AboutModel).fingerprint for task in tasks}
        if any(cell.needs_surrogate for cell in self.cells):
            self._train_surrogate(known)

    def _train_surrogate(self, known: set[str]) -> None:
        """What transfer attacks search on that name nothing.

        Raises:
            ConfigError: it is one of the models itself.
        """
        own, folder = self.plan.surrogate, self._surrogate_folder()
        told = Making(
            **self.about(), folder=folder, features="", name="train a surrogate", train=own.train,
            harden=None, base="", settings=own.settings, seed=own.seed,
        )  # fmt: skip
        key = f"make-{self.surrogate}"
        whole = (Path(folder) / "model.safetensors").exists
        leaves = (f"models/{self.surrogate}",)
        self.conductor.do([Task(key, work.make_model, told, leaves, whole)], what="a surrogate")
        if self.conductor.need(key, Made).fingerprint in known:
            raise ConfigError(
                "the surrogate is the model under attack itself: same training, same seed",
                hint="[visual.surrogate] seed = 2",
            )

    def _surrogate_folder(self) -> str:
        return str(self.conductor.run.path / "models" / self.surrogate)

    def _shops(self) -> None:
        """The pre-flight of every visual search, before anything is trained or attacked."""
        for model in self.plan.models:
            if model.name in self.searches:
                key = f"check-{self.ids[model.name]}"
                told = Checking(**self.about(model), **self._asked(model), split=self.plan.split)
                task = Task(key, searched.check_shop, told)
                self.conductor.do([task], what=f"check of {model.name}", engine=self._alone())
                self.conductor.need(key, AboutSearch)

    def _alone(self) -> LocalEngine:
        """A search is asked one photo after the other."""
        return LocalEngine(workers=1, threads=self.engine.threads)

    def _asked(self, model: ModelPlan) -> dict[str, Any]:
        """What a task is told of a visual search."""
        search = self.searches[model.name]
        asked = digest(search.asked | {"form": search.form})
        return {"authorised": self.authorised, "asked": asked}

    def _pairs(self) -> Drawn:
        plan = self.plan
        encoders = [self.ids[one.name] for one in plan.models if one.name not in self.searches]
        told = Drawing(
            **self.about(),
            first=encoders[0] if encoders else "",
            policy=plan.policy,
            split=plan.split,
            seed=plan.seed,
            count=max(cell.pairs for cell in self.cells),
        )
        self.conductor.do([Task("pairs", work.draw_pairs, told)], what="pairs")
        return self.conductor.need("pairs", Drawn)

    def _attack(
        self, cells: list[EvasionCell], pairs: Drawn, before: list[Measured]
    ) -> list[Measured]:
        """Attack all pairs of some cells, in the order of the plan."""
        models = {model.name: model for model in self.plan.models}
        tasks: dict[str, list[Task]] = {}
        blocked: dict[str, int] = {}
        for cell in cells:
            tasks[cell.id] = []
            left = None
            if cell.survivors_of is not None:
                left = survivors(cell, before)
                complete = all(
                    found.failure is None for found in before if is_before(found.cell, cell)
                )
                if not complete:
                    blocked[cell.id] = cell.pairs
                    continue
            for task, numbers in chunks(cell):
                chosen = [n for n in numbers if left is None or n in left]
                if chosen:
                    tasks[cell.id].append(
                        self._chunk(models[cell.model], cell, task, tuple(chosen), pairs)
                    )
        what = f"evasion {cells[0].stage + 1}"
        if not cells[0].counts:
            what = cells[0].attack.key
        for shops in (False, True):
            ordered = [
                task
                for cell in cells
                for task in tasks[cell.id]
                if (cell.model in self.searches) == shops
            ]
            self.conductor.do(ordered, what=what, engine=self._alone() if shops else None)
        return [
            self._measured(cell, tasks[cell.id], UNMEASURED if cell.id in blocked else None)
            for cell in cells
        ]

    def _chunk(
        self,
        model: ModelPlan,
        cell: EvasionCell,
        task: str,
        numbers: tuple[int, ...],
        pairs: Drawn,
    ) -> Task:
        settings = cell.attack.settings
        if cell.needs_surrogate:
            settings = settings | {"surrogates": [self._surrogate_folder()]}
        told: dict[str, Any] = self.about(model) | {
            "id": task,
            "attack": cell.attack.key,
            "settings": settings,
            "eps": cell.eps,
            "project": cell.project,
            "size": cell.size,
            "seed": self.plan.seed,
            "numbers": numbers,
            "pairs": pairs,
        }
        leaves = (work.chunk_file(task),)
        if model.name not in self.searches:
            return Task(task, work.attack_chunk, Attacking(**told), leaves)
        asking = Asking(**told, **self._asked(model))
        return Task(task, searched.attack_search, asking, (*leaves, searched.asked_folder(task)))

    def _measured(self, cell: EvasionCell, tasks: list[Task], failure: Failure | None) -> Measured:
        run, failures = self.conductor.run.path, self.conductor.failures
        shop = self.searches.get(cell.model)
        tables = [EMPTY]
        tables += [
            searched.asked_table(run, task.id) if shop else work.read_chunk(run, task.id)
            for task in tasks
            if shop or task.id not in failures
        ]
        failed = [failures[task.id] for task in tasks if task.id in failures]
        told = [task.payload for task in tasks]
        planned = sum(len(one.numbers) for one in told if isinstance(one, Attacking))
        attack = open_attack(cell.attack.key, cell.attack.settings)
        return Measured(
            cell,
            attack.access,
            {"attack": attack.name, **attack.config.model_dump(mode="json")},
            pl.concat(tables),
            planned if failure is None else cell.pairs,
            failure or (failed[0] if failed else None),
            None if shop is None else shop.k,
            self._knowledge(cell),
        )

    def _knowledge(self, cell: EvasionCell) -> str:
        """What the attacker knows, in words."""
        said = knowledge(open_attack(cell.attack.key, cell.attack.settings))
        own = self.plan.surrogate.train
        return said + (
            f"a {own} of its own, trained on the photos of the catalog"
            if cell.needs_surrogate
            else ""
        )

    def _looks(self, measured: list[Measured], pairs: Drawn, policy: EvasionGate) -> Looks:
        """Pictures: one pair on the first model and on the one that resists best, and the map.

        A picture that cannot be made is left out: it is no evidence.
        """
        names = [model.name for model in self.plan.models]
        models = {model.name: model for model in self.plan.models}
        show = chosen_show(measured, names, policy.evasion.eps)
        if show is None:
            return Looks()
        tasks = []
        for name in show.models:
            told = Showing(
                **self.about(models[name]),
                id=self.ids[name],
                shown=name,
                attack=show.attack.key,
                label=show.attack.label,
                settings=show.attack.settings,
                budgets=show.budgets,
                eps=show.eps,
                seed=self.plan.seed,
                number=show.pair,
                pairs=pairs,
            )
            key = f"show-{self.ids[name]}-p{show.pair}-e{show.eps:g}"
            tasks.append(Task(key, show_pair, told))
        first = tasks[0]
        whole = Mapping(**vars(first.payload), split=self.plan.split)
        maps = Task(f"map-{first.id.removeprefix('show-')}", show_map, whole)
        self.conductor.do([*tasks, maps], what="pictures")
        done = {task.id: self.conductor.run.done(task.id) for task in [*tasks, maps]}
        drawn = done.pop(maps.id)
        return Looks(
            journeys=tuple(Journey.model_validate(one) for one in done.values() if one is not None),
            map=None if drawn is None else CatalogMap.model_validate(drawn),
        )


EMPTY = pl.DataFrame(schema=searched.SCHEMA)

"""The evasion part of an audit: make and measure the models, attack the pairs, judge; resumable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recsec.attacks.evasion import SAMPLE, open_attack
from recsec.audit.conductor import Conductor
from recsec.audit.engines import Failure, Task
from recsec.audit.evasion import work
from recsec.audit.evasion.cells import CHUNK, EvasionCell, R, chunks
from recsec.audit.evasion.evidence.rows import Measured, best_ranks
from recsec.audit.evasion.evidence.showing import chosen_show, show_map, show_pair
from recsec.audit.evasion.part import Looks, evasion_part
from recsec.audit.evasion.plan import ModelPlan, VisualPlan
from recsec.audit.evasion.scene import Catalog, features_file, quality_file
from recsec.audit.evasion.scope import EvasionScope, evasion_scope
from recsec.audit.evasion.tasks import (
    AboutModel,
    Attacking,
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
from recsec.reports import CatalogMap, EvasionGate, GatePolicy, Journey
from recsec.targets import checkpoint_digests
from recsec.targets.visual import is_source, open_source

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
    conductor: Conductor

    def __post_init__(self) -> None:
        names = Names()
        self.ids = {model.name: names.of(model.name, [model.name]) for model in self.plan.models}

    def scope(self) -> EvasionScope:
        """See ``ThreatRun.scope``."""
        done = self.conductor.run.done
        units = [
            (cell, min(len(numbers), SAMPLE if cell.control else CHUNK), done(task) is not None)
            for cell in self.cells
            for task, numbers in chunks(cell)
        ]
        photos = len(self.catalog.rows)
        return evasion_scope(units, size=self.size, processes=self.engine.processes, photos=photos)

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
            if is_source(model.model):
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
        facts = {
            model.name: self.conductor.need(f"measure-{self.ids[model.name]}", AboutModel)
            for model in self.plan.models
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
        """Train and harden what the plan asks for, one after the other, and measure all."""
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
        ]
        self.conductor.do(tasks, what="quality of the models")
        for task in tasks:
            self.conductor.need(task.id, AboutModel)

    def _pairs(self) -> Drawn:
        plan = self.plan
        told = Drawing(
            **self.about(),
            first=self.ids[plan.models[0].name],
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
            survivors = None
            if cell.survivors_of is not None:
                survivors = _survivors(cell, before)
                complete = all(
                    found.failure is None for found in before if _counts(found.cell, cell)
                )
                if not complete:
                    blocked[cell.id] = cell.pairs
                    continue
            for task, numbers in chunks(cell):
                chosen = [n for n in numbers if survivors is None or n in survivors]
                if chosen:
                    told = Attacking(
                        **self.about(models[cell.model]),
                        id=task,
                        attack=cell.attack.key,
                        settings=cell.attack.settings,
                        eps=cell.eps,
                        project=cell.project,
                        size=cell.size,
                        seed=self.plan.seed,
                        numbers=tuple(chosen),
                        pairs=pairs,
                    )
                    leaves = (work.chunk_file(task),)
                    tasks[cell.id].append(Task(task, work.attack_chunk, told, leaves))
        ordered = [task for cell in cells for task in tasks[cell.id]]
        what = f"evasion {cells[0].stage + 1}"
        if not cells[0].counts:
            what = cells[0].attack.key
        self.conductor.do(ordered, what=what)
        return [
            self._measured(cell, tasks[cell.id], UNMEASURED if cell.id in blocked else None)
            for cell in cells
        ]

    def _measured(self, cell: EvasionCell, tasks: list[Task], failure: Failure | None) -> Measured:
        run, failures = self.conductor.run.path, self.conductor.failures
        tables = [EMPTY]
        tables += [work.read_chunk(run, task.id) for task in tasks if task.id not in failures]
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


def _counts(earlier: EvasionCell, cell: EvasionCell) -> bool:
    """Whether ``cell`` attacks the survivors of ``earlier``."""
    if earlier.model != cell.model or earlier.eps > cell.eps or earlier.stage < 0:
        return False
    return cell.survivors_of == ("all",) or earlier.label in (cell.survivors_of or ())


def _survivors(cell: EvasionCell, before: list[Measured]) -> set[int]:
    """Pairs that no earlier attack of the list brought to rank 1; for the control a few of those
    that none brought among the first ``R``.
    """
    rows = [found for found in before if _counts(found.cell, cell)]
    best = best_ranks(rows, cell.model, cell.eps)
    if cell.control:
        return set(sorted(pair for pair, rank in best.items() if rank > R)[:SAMPLE])
    return {pair for pair in range(cell.pairs) if best.get(pair, 2) > 1}


EMPTY = pl.DataFrame(
    schema={
        "attacker": pl.Int64,
        "target": pl.Int64,
        "rank_before": pl.Int64,
        "rank_after": pl.Int64,
        "cosine_before": pl.Float64,
        "cosine_after": pl.Float64,
        "linf": pl.Float64,
        "l2": pl.Float64,
        "psnr": pl.Float64,
        "ssim": pl.Float64,
        "in_budget": pl.Boolean,
        "forwards": pl.Int64,
        "backwards": pl.Int64,
        "queries": pl.Int64,
        "dead": pl.Int64,
        "pair": pl.Int64,
    }
)

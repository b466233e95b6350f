"""The evasion part of an audit: make and measure the models, attack the pairs, judge; resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from recsec.attacks.evasion import open_attack
from recsec.audit.conductor import Conductor
from recsec.audit.engines import Failure, Task
from recsec.audit.evasion import work
from recsec.audit.evasion.cells import EvasionCell, chunks, expand_evasion
from recsec.audit.evasion.evidence import Measured, best_ranks
from recsec.audit.evasion.part import Looks, evasion_part
from recsec.audit.evasion.plan import ModelPlan, VisualPlan
from recsec.audit.evasion.scene import Catalog, features_file, open_catalog
from recsec.audit.evasion.showing import chosen_show, show_map, show_pair
from recsec.audit.extraction.opening import checkpoint_fingerprint
from recsec.audit.names import Names
from recsec.audit.plan import Plan
from recsec.audit.scope import EvasionScope, evasion_scope
from recsec.errors import ConfigError
from recsec.hardening import hardening_class
from recsec.models import Encoder, load_encoder
from recsec.registry import registry
from recsec.reports import Evasion, Finding, GatePolicy

__all__ = ["EvasionRun", "OpenVisual", "open_visual"]

Found: TypeAlias = tuple[Evasion, tuple[Finding, ...]]

NOT_YET = Failure("RunError", "not measured yet: the audit is still running")
UNMEASURED = Failure("RunError", "the attacks whose survivors it needs were not all measured")


@dataclass(frozen=True, eq=False)
class OpenVisual:
    """What a plan names, found to exist before anything is done.

    Attributes:
        plan: the table.
        catalog: the photos.
        cells: in the order of the plan.
        size: side of the attacked images in pixels.
    """

    plan: VisualPlan
    catalog: Catalog
    cells: tuple[EvasionCell, ...]
    size: int


def open_visual(plan: Plan) -> OpenVisual:
    """Open the photos, and check models and attacks.

    Raises:
        ConfigError: an attack or a setting that does not exist.
        DataError, CheckpointError: photos or checkpoints are missing or broken.
    """
    if plan.visual is None:
        raise ConfigError("the plan has no [visual]")
    cells = expand_evasion(plan)
    for cell in cells:
        open_attack(cell.attack.key, cell.attack.settings)
    sizes = []
    for model in plan.visual.models:
        if model.model is not None:
            sizes.append(load_encoder(Path(model.model).expanduser()).size)
        elif model.train is not None:
            kind: type[Encoder] = registry("encoders").get(model.train)
            config: Any = work.model_settings(kind.config_class, model.settings, model.train)
            sizes.append(int(config.size))
        elif model.harden is not None:
            method = hardening_class(model.harden, hardens=Encoder.name)
            work.model_settings(method.config_class, model.settings, model.harden)
    if len(set(sizes)) > 1:
        raise ConfigError(
            f"the models see photos of {', '.join(map(str, sorted(set(sizes))))} pixels",
            hint="budgets compare at one size only; audit them in separate plans",
        )
    return OpenVisual(plan.visual, open_catalog(plan.visual.data), cells, max(sizes))


@dataclass
class EvasionRun:
    """The work of one process on evasion."""

    whole: Plan
    visual: OpenVisual
    conductor: Conductor

    def __post_init__(self) -> None:
        names = Names()
        self.ids = {
            model.name: names.of(model.name, [model.name]) for model in self.visual.plan.models
        }

    def scope(self) -> EvasionScope:
        """What is left to do, as far as it is known before the first attack."""
        done = self.conductor.run.done
        units = [
            (cell, len(numbers), done(task) is not None)
            for cell in self.visual.cells
            for task, numbers in chunks(cell)
        ]
        return evasion_scope(self.whole, units, size=self.visual.size)

    def folder(self, model: ModelPlan) -> str:
        """Where the checkpoint of a model is: as the plan says, or in the run directory."""
        if model.model is not None:
            return str(Path(model.model).expanduser())
        return str(self.conductor.run.path / "models" / self.ids[model.name])

    def same_inputs(self) -> None:
        """Refuse to go on with other photos or other weights than the finished work saw.

        Raises:
            RunError: they changed since the run was begun.
        """
        now = {"photos": self.visual.catalog.photos.fingerprint}
        for model in self.visual.plan.models:
            if model.model is not None:
                now[f"model {model.name}"] = checkpoint_fingerprint(Path(self.folder(model)))
        self.conductor.same("visual-inputs", now)

    def payload(self, model: ModelPlan | None = None, **more: Any) -> dict[str, Any]:
        """What every task is told."""
        told = {
            "run": str(self.conductor.run.path),
            "data": self.visual.plan.data,
            "device": self.whole.engine.device,
        }
        if model is not None:
            told |= {
                "folder": self.folder(model),
                "features": str(features_file(self.conductor.run.path, self.ids[model.name])),
            }
        return {**told, **more}

    def part(self, policy: GatePolicy, *, interim: Callable[[Found], None]) -> Found:
        """Do everything that is not done yet, and say what was found.

        Args:
            policy: thresholds.
            interim: is told what is known after each grid of the plan; cells that are still to come
                count as not measured.
        """
        self._models()
        pairs = self._pairs()
        measured: list[Measured] = []
        stages = sorted({cell.stage for cell in self.visual.cells})
        for stage in stages:
            cells = [cell for cell in self.visual.cells if cell.stage == stage]
            measured += self._attack(cells, pairs, measured)
            if stage not in (stages[0], stages[-1]):
                later = [cell for cell in self.visual.cells if cell.stage > stage]
                waiting = [self._measured(cell, [], NOT_YET) for cell in later]
                interim(self._found([*measured, *waiting], pairs, Looks(), policy))
        return self._found(measured, pairs, self._looks(measured, pairs, policy), policy)

    def _found(
        self, measured: list[Measured], pairs: dict[str, Any], looks: Looks, policy: GatePolicy
    ) -> Found:
        facts = {
            model.name: self.conductor.need(f"measure-{self.ids[model.name]}")
            for model in self.visual.plan.models
        }
        return evasion_part(
            self.visual.plan,
            self.visual.catalog,
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
        for model in self.visual.plan.models:
            if model.model is not None:
                continue
            by_name = {one.name: one for one in self.visual.plan.models}
            base = by_name[self.visual.plan.base_of(model)]
            name = self.ids[model.name]
            payload = self.payload(
                model,
                name=f"{'train' if model.train else 'harden'} {model.name}",
                train=model.train,
                harden=model.harden,
                base=self.folder(base),
                settings=model.settings,
                seed=model.seed,
            )
            self.conductor.do([Task(f"make-{name}", work.make_model, payload)], what=model.name)
            self.conductor.need(f"make-{name}")
        tasks = [
            Task(
                f"measure-{self.ids[model.name]}",
                work.measure_model,
                self.payload(model, id=self.ids[model.name], name=model.name),
            )
            for model in self.visual.plan.models
        ]
        self.conductor.do(tasks, what="quality of the models")
        for task in tasks:
            self.conductor.need(task.id)

    def _pairs(self) -> dict[str, Any]:
        plan = self.visual.plan
        payload = self.payload(
            first=self.ids[plan.models[0].name],
            policy=plan.policy,
            split=plan.split,
            seed=plan.seed,
            count=max(cell.pairs for cell in self.visual.cells),
        )
        self.conductor.do([Task("pairs", work.draw_pairs, payload)], what="pairs")
        return self.conductor.need("pairs")

    def _attack(
        self, cells: list[EvasionCell], pairs: dict[str, Any], before: list[Measured]
    ) -> list[Measured]:
        """Attack all pairs of some cells, in the order of the plan."""
        models = {model.name: model for model in self.visual.plan.models}
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
                    payload = self.payload(
                        models[cell.model],
                        id=task,
                        attack=cell.attack.key,
                        settings=cell.attack.settings,
                        eps=cell.eps,
                        project=cell.project,
                        size=cell.size,
                        seed=self.visual.plan.seed,
                        numbers=chosen,
                        pairs=pairs,
                    )
                    tasks[cell.id].append(Task(task, work.attack_chunk, payload))
        ordered = [task for cell in cells for task in tasks[cell.id]]
        what = "noise" if cells[0].stage < 0 else f"evasion {cells[0].stage + 1}"
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
        planned = sum(len(task.payload["numbers"]) for task in tasks)
        attack = open_attack(cell.attack.key, cell.attack.settings)
        return Measured(
            cell,
            attack.access,
            {"attack": attack.name, **attack.config.model_dump(mode="json")},
            pl.concat(tables),
            planned if failure is None else cell.pairs,
            failure or (failed[0] if failed else None),
        )

    def _looks(self, measured: list[Measured], pairs: dict[str, Any], policy: GatePolicy) -> Looks:
        """Pictures: one pair on the first model and on the one that resists best, and the map.

        A picture that cannot be made is left out: it is no evidence.
        """
        names = [model.name for model in self.visual.plan.models]
        models = {model.name: model for model in self.visual.plan.models}
        show = chosen_show(measured, names, policy.evasion.eps)
        if show is None:
            return Looks()
        tasks = []
        for name in show.models:
            payload = self.payload(
                models[name],
                id=self.ids[name],
                shown=name,
                attack=show.attack.key,
                label=show.attack.label,
                settings=show.attack.settings,
                budgets=list(show.budgets),
                eps=show.eps,
                seed=self.visual.plan.seed,
                number=show.pair,
                pairs=pairs,
            )
            key = f"show-{self.ids[name]}-p{show.pair}-e{show.eps:g}"
            tasks.append(Task(key, show_pair, payload))
        first = tasks[0]
        maps = Task(
            f"map-{first.id.removeprefix('show-')}",
            show_map,
            {**first.payload, "split": self.visual.plan.split},
        )
        self.conductor.do([*tasks, maps], what="pictures")
        done = self.conductor.run.done
        return Looks(
            journeys=tuple(found for task in tasks if (found := done(task.id)) is not None),
            map=done(maps.id),
        )


def _counts(earlier: EvasionCell, cell: EvasionCell) -> bool:
    """Whether ``cell`` attacks the survivors of ``earlier``."""
    if earlier.model != cell.model or earlier.eps > cell.eps or earlier.stage < 0:
        return False
    return cell.survivors_of == ("all",) or earlier.label in (cell.survivors_of or ())


def _survivors(cell: EvasionCell, before: list[Measured]) -> set[int]:
    """Pairs that no earlier attack of the list brought to rank 1."""
    rows = [found for found in before if _counts(found.cell, cell)]
    best = best_ranks(rows, cell.model, cell.eps)
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

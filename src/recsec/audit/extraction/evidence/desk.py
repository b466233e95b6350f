"""What is at hand while the extraction part of a report is written: the answers of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from recsec.audit.engines import Failure
from recsec.audit.extraction.cells import CellSpec, Grid
from recsec.audit.extraction.evidence.answers import SERVED, Answers, read_answers
from recsec.audit.extraction.evidence.pooling import lift_taken, pooled
from recsec.audit.extraction.plan import ExtractionTables
from recsec.audit.extraction.tasks import AboutTarget, Copied, MeasuredDefense
from recsec.data import Dataset
from recsec.evaluation import fidelity_of_lists
from recsec.metrics import list_ranks
from recsec.reports import UNDEFENDED, Metric, Metrics
from recsec.rng import Streams
from recsec.runs import RunDirectory
from recsec.stats import Estimate
from recsec.targets import Unknown
from recsec.types import FloatArray, IntArray

__all__ = ["Desk", "Gathered", "defense_id"]


def defense_id(name: str) -> str:
    """Name of the task that measures a defense, and of its answers."""
    return f"defense-{name}"


@dataclass(frozen=True)
class Gathered:
    """What the runner learned besides the files.

    Attributes:
        target: result of ``measure_target``.
        defects: what the check of the target found, in sentences.
        unknown: ids that users got and the catalog lacks.
        defenses: by name, the result of ``measure_defense`` or why there is none.
        users: ``(U,)`` user numbers of the audit.
        twins: ids and seeds of the twins that were measured.
        no_twin: why there is none.
        failures: by cell id.
        copied: by cell id.
    """

    target: AboutTarget
    defects: tuple[str, ...]
    unknown: Unknown
    defenses: Mapping[str, MeasuredDefense | Failure]
    users: IntArray
    twins: Mapping[str, int]
    no_twin: str
    failures: Mapping[str, Failure]
    copied: Mapping[str, Copied]


@dataclass(frozen=True, eq=False)
class Desk:
    """Everything at hand while the report is written."""

    plan: ExtractionTables
    grid: Grid
    run: RunDirectory
    dataset: Dataset
    found: Gathered
    _compared: dict[str, dict[str, FloatArray]] = field(default_factory=dict)

    def answers(self, name: str, depth: int | None = None) -> Answers:
        """The answers of one answerer, by default as deep as the plan compares."""
        places = depth or self.plan.evaluation.depth
        return read_answers(self.run.path, name, self.dataset.catalog, places)

    @cached_property
    def target(self) -> Answers:
        """What the bare target answers."""
        return self.answers("target")

    def compared(self, name: str) -> dict[str, FloatArray]:
        """``(U,)`` fidelity to the bare target and quality of one answerer, per user."""
        if name not in self._compared:
            self._compared[name] = self.answers(name).compared_with(self.target)
        return self._compared[name]

    def served(self, defense: str) -> Answers:
        """The lists that users get: of a defense, or of the bare target."""
        if defense != UNDEFENDED:
            return self.answers(defense_id(defense), SERVED)
        lists = self.target.lists[:, :SERVED]
        held_out = self.dataset.split().targets("test")[self.found.users]
        return Answers(list_ranks(lists, held_out), lists)

    def pooled(
        self,
        tables: Sequence[Mapping[str, FloatArray]],
        *,
        floor: FloatArray | None = None,
        target: FloatArray | None = None,
    ) -> Metrics:
        """Pooled metrics; see ``evidence.pooled``."""
        estimates = pooled(
            tables,
            floor=floor,
            target=target,
            streams=self._streams,
            resamples=self.plan.evaluation.resamples,
        )
        return {name: Metric.of(estimate) for name, estimate in estimates.items()}

    def metrics(self, names: Sequence[str], *, floor: str | None = "floor") -> Metrics:
        """Pooled metrics of answerers that differ in the seed only, lifted over a floor."""
        return self.pooled(
            [self.compared(name) for name in names],
            floor=None if floor is None else self.floor(floor),
            target=self.target.quality["hr@10"],
        )

    def deciding(self, max_calls: int | None) -> CellSpec | None:
        """The cell of the bare target with the most agreement above its floor; None if none counts.

        Args:
            max_calls: cells with more calls do not count.
        """
        known = [
            (float(np.nanmean(self.compared(spec.id)["agr@10"] - self.floor(spec.floor))), -at)
            for at, spec in enumerate(self.grid.cells)
            if spec.defense == UNDEFENDED
            and spec.id not in self.found.failures
            and (max_calls is None or spec.calls <= max_calls)
        ]
        return self.grid.cells[-max(known)[1]] if known else None

    def floor(self, name: str) -> FloatArray:
        """Agr@10 of a zero-call attacker for each user ``(U,)``.

        A thief with a leak may serve what is popular too, so his floor is the better of the two.
        """
        known = [self.compared(one)["agr@10"] for one in dict.fromkeys(["floor", name])]
        return max(known, key=lambda column: float(np.nanmean(column)))

    def thief(self, specs: Sequence[CellSpec]) -> Metrics:
        """Metrics of cells that differ in the seed only, with what their defense took."""
        own = {}
        if specs[0].floor != "floor":
            known = self.pooled([{"floor": self.floor(specs[0].floor)}])
            own = {"floor": known["floor"]}
        return self._thief(specs) | own

    def _thief(self, specs: Sequence[CellSpec]) -> Metrics:
        names, first = [spec.id for spec in specs], specs[0]
        if first.defense == UNDEFENDED:
            return self.metrics(names, floor=first.floor)
        served = self.served(first.defense)
        tables = []
        for name in names:
            lists = self.answers(name).lists[:, :SERVED]
            likeness = fidelity_of_lists(lists, served.lists).values
            tables.append(
                self.compared(name) | {f"served_{key}": likeness[key] for key in likeness}
            )
        floor = self.floor(first.floor)
        found = self.pooled(tables, floor=floor, target=self.target.quality["hr@10"])
        return found | {"lift_taken": Metric.of(self._taken(specs, floor))}

    def _taken(self, specs: Sequence[CellSpec], floor: FloatArray) -> Estimate:
        """Over the seeds with which the same thief attacked the bare target too."""
        measured = {spec.id for spec in self.grid.cells} - set(self.found.failures)
        both = [spec for spec in specs if spec.bare in measured]
        if not both:
            return Estimate(float("nan"), None, None, 0)
        return lift_taken(
            [self.compared(spec.id)["agr@10"] for spec in both],
            [self.compared(spec.bare)["agr@10"] for spec in both],
            floor,
            streams=self._streams,
            resamples=self.plan.evaluation.resamples,
        )

    @property
    def _streams(self) -> Streams:
        return Streams(self.plan.evaluation.seed).child("bootstrap")

    @cached_property
    def quality(self) -> Metrics:
        """How well the bare target recommends."""
        return self.pooled([self.target.quality])

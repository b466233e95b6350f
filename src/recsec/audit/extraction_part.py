"""The extraction part of ``report.json``: the same files of the run give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recsec.audit.answers import Answers, read_answers
from recsec.audit.cells import CellSpec, Grid
from recsec.audit.engines import Failure
from recsec.audit.evidence import pooled
from recsec.audit.findings import findings, threat_model
from recsec.audit.gate import judge
from recsec.audit.plan import Plan, TargetPlan
from recsec.data import Dataset
from recsec.reports import (
    Cell,
    Cost,
    DataSummary,
    Example,
    ExampleItem,
    Extraction,
    Finding,
    Floor,
    GatePolicy,
    Metric,
    Metrics,
    Protocol,
    Row,
    TargetSummary,
    Twin,
    published_numbers,
)
from recsec.rng import Streams
from recsec.runs import RunDirectory
from recsec.types import FloatArray, IntArray

__all__ = ["Gathered", "extraction_part"]

EXAMPLES = (0.9, 0.5, 0.1)
SHOWN_HISTORY = 8
SHOWN_LIST = 10


@dataclass(frozen=True)
class Gathered:
    """What the runner learned besides the files.

    Attributes:
        target: result of ``measure_target``.
        users: ``(U,)`` user numbers of the audit.
        twins: ids and seeds of the twins that were measured.
        no_twin: why there is none.
        failures: by cell id.
    """

    target: Mapping[str, Any]
    users: IntArray
    twins: Mapping[str, int]
    no_twin: str
    failures: Mapping[str, Failure]


@dataclass(frozen=True, eq=False)
class _Desk:
    """Everything at hand while the report is written."""

    plan: Plan
    grid: Grid
    run: RunDirectory
    dataset: Dataset
    found: Gathered

    def answers(self, name: str) -> Answers:
        return read_answers(self.run.path, name, self.dataset.catalog, self.plan.evaluation.depth)

    @cached_property
    def target(self) -> Answers:
        return self.answers("target")

    def agreement(self, name: str) -> FloatArray:
        """Agr@10 of one answerer for each user ``(U,)``."""
        return self.answers(name).compared_with(self.target)["agr@10"]

    def metrics(self, names: Sequence[str], *, floor: str | None = "floor") -> Metrics:
        """Pooled metrics of answerers that differ in the seed only, lifted over a floor.

        A thief with a leak may serve what is popular too, so his floor is the better of the two.
        """
        known = (
            []
            if floor is None
            else [self.agreement(name) for name in dict.fromkeys(["floor", floor])]
        )
        estimates = pooled(
            [self.answers(name).compared_with(self.target) for name in names],
            floor=max(known, key=lambda column: float(np.nanmean(column)), default=None),
            target=self.target.quality["hr@10"],
            streams=Streams(self.plan.evaluation.seed).child("bootstrap"),
            resamples=self.plan.evaluation.resamples,
        )
        return {name: Metric.of(estimate) for name, estimate in estimates.items()}

    @cached_property
    def quality(self) -> Metrics:
        estimates = pooled(
            [self.target.quality],
            streams=Streams(self.plan.evaluation.seed).child("bootstrap"),
            resamples=self.plan.evaluation.resamples,
        )
        return {name: Metric.of(estimate) for name, estimate in estimates.items()}


def extraction_part(
    plan: Plan,
    target: TargetPlan,
    grid: Grid,
    run: RunDirectory,
    dataset: Dataset,
    found: Gathered,
    policy: GatePolicy,
) -> tuple[Extraction, tuple[Finding, ...]]:
    """What a run found out about extraction, once its tasks have all ended, well or badly."""
    desk = _Desk(plan, grid, run, dataset, found)
    cells = tuple(_cell(desk, spec) for spec in grid.cells)
    rows = _rows(desk, cells)
    floor = Floor(
        name="popularity",
        description=(
            "The most popular items of the target's training data, the same for everybody. "
            "Conservative: a thief without data does not even know what is popular."
            + _leak_floors(desk)
        ),
        metrics=desk.metrics(["floor"], floor=None),
    )
    twin = _twin(desk)
    missing = len(found.failures)
    verdict = judge(
        rows,
        policy,
        missing=missing,
        floor=floor.metrics["agr@10"],
        twin=None if twin.reason else (twin.metrics or {}).get("agr@10"),
    )
    where = target.model or f"trained by this audit ({target.train})"
    part = Extraction(
        target=TargetSummary(
            name=target.name or target.train or where,
            spec=where,
            access=target.access,
            k_values=tuple(sorted({spec.k for spec in grid.cells})),
            description=found.target["description"],
            fingerprint=found.target["fingerprint"],
        ),
        data=_data(dataset),
        protocol=_protocol(desk, cells),
        threat_model=threat_model(
            [spec.calls for spec in grid.cells],
            [spec.k for spec in grid.cells],
            [spec.config.surrogate for spec in grid.cells],
        ),
        target_quality=desk.quality,
        floor=floor,
        twin=twin,
        cells=cells,
        rows=rows,
        examples=_examples(desk, rows[verdict.row] if verdict.row is not None else None),
        cost=_cost(plan, grid),
        published=published_numbers(dataset.name),
        verdict=verdict,
    )
    return part, findings(rows, verdict, floor, twin, missing=missing)


def _leak_floors(desk: _Desk) -> str:
    """What the floors of thieves with leaked histories are."""
    told = []
    for name, config in desk.grid.floors.items():
        if any(s.floor == name and s.id not in desk.found.failures for s in desk.grid.cells):
            value = desk.metrics([name], floor=None)["agr@10"].value
            told.append(f" With leak={config.leak:g}, {config.surrogate}: Agr@10 {value:.3f}.")
    if not told:
        return ""
    return (
        " A thief to whom histories leak is measured above the better of that and a model trained "
        "on them alone; the users of the leak are not among those who are measured." + "".join(told)
    )


def _cell(desk: _Desk, spec: CellSpec) -> Cell:
    failure = desk.found.failures.get(spec.id)
    return Cell(
        id=spec.id,
        policy=spec.policy,
        k=spec.k,
        calls=spec.calls,
        surrogate=spec.config.surrogate,
        loss=spec.config.loss,
        seed=spec.seed,
        status="ok" if failure is None else "refused" if failure.refused else "error",
        error=None if failure is None else f"{failure.kind}: {failure.message}",
        accounts=spec.config.adaptive.accounts,
        metrics=desk.metrics([spec.id], floor=spec.floor) if failure is None else {},
    )


def _twin(desk: _Desk) -> Twin:
    """The independent models; one that equals the target exactly is no scale."""
    found = desk.found
    metrics = desk.metrics(list(found.twins)) if found.twins else None
    reason = found.no_twin
    if metrics is not None and metrics["agr@10"].value == 1 and metrics["rbo"].value == 1:
        reason = (
            "It equals the target in every list: training does not depend on the seed. A second "
            "model of this kind is the same model, so agreement with it means nothing."
        )
    return Twin(metrics=metrics, seeds=tuple(found.twins.values()), reason=reason)


def _rows(desk: _Desk, cells: Sequence[Cell]) -> tuple[Row, ...]:
    """Cells that differ in the seed only, in the order of the plan; rows without evidence too."""
    groups: dict[str, list[Cell]] = {}
    floors = {spec.id: spec.floor for spec in desk.grid.cells}
    for spec, cell in zip(desk.grid.cells, cells, strict=True):
        groups.setdefault(spec.row, []).append(cell)
    rows = []
    for group in groups.values():
        measured = [cell for cell in group if cell.status == "ok"]
        first = group[0]
        rows.append(
            Row(
                policy=first.policy,
                k=first.k,
                calls=first.calls,
                surrogate=first.surrogate,
                loss=first.loss,
                seeds=tuple(cell.seed for cell in measured),
                missing=len(group) - len(measured),
                accounts=first.accounts,
                metrics=desk.metrics([cell.id for cell in measured], floor=floors[first.id])
                if measured
                else {},
            )
        )
    return tuple(rows)


def _data(dataset: Dataset) -> DataSummary:
    notes = list(dataset.report.notes)
    for step in dataset.report.steps:
        if step.rows:
            notes.append(
                f"filter {step.rule}: {step.rows:,} interactions, {step.users:,} users and "
                f"{step.items:,} items removed"
            )
    if dataset.license:
        notes.append(dataset.license)
    sequences = dataset.sequences()
    return DataSummary(
        name=dataset.name,
        users=len(sequences),
        items=len(dataset.catalog),
        interactions=len(sequences.items),
        fingerprint=dataset.fingerprint,
        synthetic=dataset.synthetic,
        notes=tuple(notes),
    )


def _protocol(desk: _Desk, cells: Sequence[Cell]) -> Protocol:
    users, seeds = len(desk.found.users), len({cell.seed for cell in cells})
    over = "users and seeds" if seeds > 1 else "users (one seed: its chance is not covered)"
    return Protocol(
        statement=(
            f"Fidelity: lists of {desk.plan.evaluation.depth} items for the train and validation "
            "histories of users whom the thief does not know; full catalog, history items "
            f"excluded. Quality: {desk.found.target['protocol']}. Intervals: percentile bootstrap "
            f"over {over}, {desk.plan.evaluation.resamples} resamples, the same users for all rows."
        ),
        users=users,
        candidates=len(desk.dataset.catalog),
    )


def _items(desk: _Desk, indices: IntArray) -> tuple[ExampleItem, ...]:
    catalog = desk.dataset.catalog
    kept = [int(index) for index in indices if index > 0]
    ids = catalog.external(np.array(kept, dtype=np.int64))
    return tuple(
        ExampleItem(id=item, title=str(catalog.title(index)))
        for item, index in zip(ids, kept, strict=True)
    )


def _examples(desk: _Desk, row: Row | None) -> tuple[Example, ...]:
    """Users at the 90th, 50th and 10th percentile of Agr@10 under the deciding row's first cell."""
    if row is None or not row.seeds:
        return ()
    chosen = next(
        spec
        for spec in desk.grid.cells
        if (spec.policy, spec.k, spec.calls, spec.seed)
        == (row.policy, row.k, row.calls, row.seeds[0])
        and (spec.config.surrogate, spec.config.loss) == (row.surrogate, row.loss)
    )
    copy, split = desk.answers(chosen.id), desk.dataset.split()
    agreement = copy.compared_with(desk.target)["agr@10"]
    order = np.argsort(agreement, kind="stable")
    places = sorted({round(share * (len(order) - 1)) for share in EXAMPLES}, reverse=True)
    examples = []
    for place in places:
        at = int(order[place])
        history = split.history("test", int(desk.found.users[at]))
        theirs, ours = desk.target.lists[at, :SHOWN_LIST], copy.lists[at, :SHOWN_LIST]
        examples.append(
            Example(
                cell=chosen.id,
                history=_items(desk, history[-SHOWN_HISTORY:]),
                history_length=len(history),
                target=_items(desk, theirs),
                surrogate=_items(desk, ours),
                shared=len(set(theirs[theirs > 0].tolist()) & set(ours[ours > 0].tolist())),
            )
        )
    return tuple(examples)


def _cost(plan: Plan, grid: Grid) -> tuple[Cost, ...]:
    rate = plan.cost.calls_per_second
    return tuple(
        Cost(calls=calls, rate=rate, hours=calls / (rate * 3600))
        for calls in sorted({spec.calls for spec in grid.cells})
    )

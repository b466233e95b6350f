"""The extraction part of ``report.json``: the same files of the run give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsec.attacks.extraction import switches
from recsec.audit.engines import Failure
from recsec.audit.extraction.cells import CellSpec, Grid
from recsec.audit.extraction.evidence.activity import activity_rows
from recsec.audit.extraction.evidence.answers import SERVED
from recsec.audit.extraction.evidence.checks import Again, copy_checks
from recsec.audit.extraction.evidence.defenses import defense_findings, defenses_part
from recsec.audit.extraction.evidence.desk import Desk
from recsec.audit.extraction.evidence.findings import findings, threat_model
from recsec.audit.extraction.gate import judge
from recsec.audit.extraction.plan import ExtractionTables, TargetPlan
from recsec.audit.threat import Found
from recsec.data import Dataset
from recsec.evaluation import Seen, compare_hits
from recsec.reports import (
    UNDEFENDED,
    Cell,
    CopyCheck,
    Cost,
    DataSummary,
    Example,
    ExampleItem,
    Extraction,
    ExtractionGate,
    Floor,
    Protocol,
    Row,
    TargetSummary,
    Twin,
    published_numbers,
)
from recsec.types import IntArray

__all__ = ["Recheck", "extraction_part"]

EXAMPLES = (0.9, 0.5, 0.1)
SHOWN_HISTORY = 8
SHOWN_LIST = 10
AGAIN = (
    " Calls under way when a run is interrupted are asked again, and a few recorded ones when it "
    "goes on: the run directory counts them."
)


@dataclass(frozen=True)
class Recheck:
    """A copy that was trained again.

    Attributes:
        spec: the cell whose copy it was.
        id: of its answers.
        how: what was different, in words.
        failure: where there are no answers.
    """

    spec: CellSpec
    id: str
    how: str
    failure: Failure | None


def extraction_part(
    desk: Desk, target: TargetPlan, again: Recheck | None, policy: ExtractionGate
) -> Found:
    """What a run found out about extraction, once its tasks have all ended, well or badly."""
    grid, found, dataset = desk.grid, desk.found, desk.dataset
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
    bare = [row for row in rows if row.defense == UNDEFENDED]  # the first of them
    checks = _checks(desk, bare, again, twin)
    verdict = judge(
        bare,
        policy,
        checks=checks,
        missing=missing,
        floor=floor.metrics["agr@10"],
        twin=None if twin.reason else (twin.metrics or {}).get("agr@10"),
    )
    defenses = defenses_part(desk, rows)
    deciding = () if verdict.row is None else _cells_of(desk, rows[verdict.row])
    where = target.model or f"trained by this audit ({target.train})"
    part = Extraction(
        target=TargetSummary(
            name=target.name or target.train or where,
            spec=where,
            access=target.access,
            k_values=tuple(sorted({spec.k for spec in grid.cells})),
            description=found.target.description,
            fingerprint=found.target.fingerprint,
        ),
        data=_data(dataset),
        protocol=_protocol(desk, cells),
        threat_model=threat_model(
            [spec.calls for spec in grid.cells],
            [spec.k for spec in grid.cells],
            [spec.config.surrogate for spec in grid.cells],
            [spec.config.adaptive for spec in grid.cells],
            grid.leak,
            [spec.config.proxy for spec in grid.cells if spec.config.proxy],
        ),
        target_quality=desk.quality,
        floor=floor,
        twin=twin,
        cells=cells,
        rows=rows,
        defenses=defenses,
        checks=checks,
        activity=activity_rows(desk, deciding),
        examples=_examples(desk, deciding),
        cost=_cost(desk.plan, grid),
        published=published_numbers(dataset.name),
        verdict=verdict,
    )
    found_bare = findings(
        bare,
        verdict,
        floor,
        twin,
        missing=missing,
        defects=desk.found.defects,
        unknown=desk.found.unknown,
        seen=_seen(desk),
    )
    return Found(part, (*found_bare, *defense_findings(defenses, rows)))


def _checks(
    desk: Desk, bare: Sequence[Row], again: Recheck | None, twin: Twin
) -> tuple[CopyCheck, ...]:
    """Of the thieves of the bare target."""
    courses = {
        spec.id: copied.course
        for spec in desk.grid.cells
        if spec.defense == UNDEFENDED
        and (copied := desk.found.copied.get(spec.id)) is not None
        and copied.course is not None
    }
    compared = None
    if again is not None:
        failure, spec = again.failure, again.spec
        compared = Again(
            how=again.how,
            before=desk.metrics([spec.id], floor=spec.floor)["lift"],
            after=None if failure else desk.metrics([again.id], floor=spec.floor)["lift"],
            why="" if failure is None else failure.message,
        )
    steady = desk.found.target.fingerprint is not None
    return copy_checks(bare, courses, compared, twin, steady=steady)


def _leak_floors(desk: Desk) -> str:
    """What the floors of thieves with leaked histories are."""
    told = []
    for name, config in desk.grid.floors.items():
        if any(s.floor == name and s.id not in desk.found.failures for s in desk.grid.cells):
            value = desk.metrics([name], floor=None)["agr@10"].value
            whose = f"proxy={config.proxy}" if config.proxy else f"leak={config.leak:g}"
            told.append(f" With {whose}, {config.surrogate}: Agr@10 {value:.3f}.")
    if not told:
        return ""
    return (
        " A thief to whom histories leak is measured above the better of that and a model trained "
        "on them alone; the users of the leak are not among those who are measured." + "".join(told)
    )


def _cell(desk: Desk, spec: CellSpec) -> Cell:
    failure = desk.found.failures.get(spec.id)
    return Cell(
        id=spec.id,
        defense=spec.defense,
        policy=spec.policy,
        k=spec.k,
        calls=spec.calls,
        surrogate=spec.config.surrogate,
        loss=spec.config.loss,
        seed=spec.seed,
        status="ok" if failure is None else "refused" if failure.refused else "error",
        error=None if failure is None else f"{failure.kind}: {failure.message}",
        accounts=spec.config.adaptive.accounts,
        metrics=desk.thief([spec]) if failure is None else {},
    )


def _twin(desk: Desk) -> Twin:
    """The independent models; one that is the target itself is no scale and left out."""
    found = desk.found
    if found.twins and all(_same_lists(desk, name) for name in found.twins):
        return Twin(
            metrics=None,
            reason="left out: training this kind of model does not depend on the seed, so a second "
            "one is the target itself",
        )
    metrics = desk.metrics(list(found.twins)) if found.twins else None
    reason = found.no_twin
    return Twin(metrics=metrics, seeds=tuple(found.twins.values()), reason=reason)


def _same_lists(desk: Desk, name: str) -> bool:
    return np.array_equal(desk.answers(name).lists, desk.target.lists)


def _seen(desk: Desk) -> Seen | None:
    """Its hit rate beside that of the twins; where there are none, of a chain over items."""
    if not desk.found.twins:
        return desk.found.target.seen
    twins = [desk.answers(name).quality["hr@10"] for name in desk.found.twins]
    ours, theirs = desk.target.quality["hr@10"], np.mean(twins, axis=0)
    return compare_hits(ours, theirs, name="an independently trained twin", places=10)


def _rows(desk: Desk, cells: Sequence[Cell]) -> tuple[Row, ...]:
    """Cells that differ in the seed only, in the order of the plan; rows without evidence too."""
    groups: dict[str, list[tuple[CellSpec, Cell]]] = {}
    for spec, cell in zip(desk.grid.cells, cells, strict=True):
        groups.setdefault(spec.row, []).append((spec, cell))
    rows = []
    for group in groups.values():
        measured = [(spec, cell) for spec, cell in group if cell.status == "ok"]
        spec, first = group[0]
        metrics = measured[0][1].metrics if measured else {}
        if len(measured) > 1:
            metrics = desk.thief([spec for spec, _ in measured])
        rows.append(
            Row(
                defense=spec.defense,
                adaptive=switches(spec.config),
                policy=first.policy,
                k=first.k,
                calls=first.calls,
                surrogate=first.surrogate,
                loss=first.loss,
                seeds=tuple(cell.seed for _, cell in measured),
                missing=len(group) - len(measured),
                accounts=first.accounts,
                metrics=metrics,
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


def _protocol(desk: Desk, cells: Sequence[Cell]) -> Protocol:
    users, seeds = len(desk.found.users), len({cell.seed for cell in cells})
    over = "users and seeds" if seeds > 1 else "users (one seed: its chance is not covered)"
    against = ""
    if desk.plan.defense:
        against = (
            " Fidelity, gain, HR ratio, floor and twin compare with the undefended target's lists, "
            "whoever answered the thief; agreement with what was served is named so, on lists of "
            f"{SERVED}. Quality and overlap of a defense: the lists of {SERVED} that it serves."
        )
    return Protocol(
        statement=(
            f"Fidelity: lists of {desk.plan.evaluation.depth} items for the train and validation "
            "histories of users whom the thief does not know; full catalog, history items "
            f"excluded. Quality: {desk.found.target.protocol}. Intervals: percentile bootstrap "
            f"over {over}, {desk.plan.evaluation.resamples} resamples, the same users for all rows."
            + against
            + (f" {said}." if (said := desk.found.unknown.said()) else "")
            + (AGAIN if desk.found.target.fingerprint is None else "")
        ),
        users=users,
        candidates=len(desk.dataset.catalog),
    )


def _items(desk: Desk, indices: IntArray) -> tuple[ExampleItem, ...]:
    catalog = desk.dataset.catalog
    kept = [int(index) for index in indices if index > 0]
    ids = catalog.external(np.array(kept, dtype=np.int64))
    return tuple(
        ExampleItem(id=item, title=str(catalog.title(index)))
        for item, index in zip(ids, kept, strict=True)
    )


def _cells_of(desk: Desk, row: Row) -> tuple[CellSpec, ...]:
    """The measured cells of a row."""
    return tuple(
        spec
        for spec in desk.grid.cells
        if (spec.defense, spec.policy, spec.k, spec.calls)
        == (row.defense, row.policy, row.k, row.calls)
        and spec.seed in row.seeds
        and (spec.config.surrogate, spec.config.loss) == (row.surrogate, row.loss)
        and switches(spec.config) == row.adaptive
    )


def _examples(desk: Desk, deciding: Sequence[CellSpec]) -> tuple[Example, ...]:
    """Users at the 90th, 50th and 10th percentile of Agr@10 under the deciding row's first cell."""
    if not deciding:
        return ()
    chosen = deciding[0]
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


def _cost(plan: ExtractionTables, grid: Grid) -> tuple[Cost, ...]:
    rate = plan.cost.calls_per_second
    return tuple(
        Cost(calls=calls, rate=rate, hours=calls / (rate * 3600))
        for calls in sorted({spec.calls for spec in grid.cells})
    )

"""Whom the deciding copy serves how well, by how active they are."""

from __future__ import annotations

from collections.abc import Sequence

from recsec.audit.extraction.cells import CellSpec
from recsec.audit.extraction.evidence.desk import Desk
from recsec.evaluation.groups import activity_groups
from recsec.reports import ActivityRow

__all__ = ["activity_rows"]

SHOWN = ("agr@1", "agr@10", "lift", "hr@10", "hr_ratio")


def activity_rows(desk: Desk, specs: Sequence[CellSpec]) -> tuple[ActivityRow, ...]:
    """Fidelity, gain and HR ratio in each tenth of the users, by the length of their histories.

    Args:
        desk: the answers of a run.
        specs: cells that differ in the seed only; none, and there are no rows.
    """
    if not specs:
        return ()
    lengths = desk.dataset.split().full.lengths[desk.found.users] - 1
    grouping = activity_groups(lengths, parts=10)
    hits, floor = desk.target.quality["hr@10"], desk.floor(specs[0].floor)
    rows = []
    for number, group in enumerate(grouping.names):
        inside = grouping.member == number
        tables = [
            {name: column[inside] for name, column in desk.compared(spec.id).items()}
            for spec in specs
        ]
        found = desk.pooled(tables, floor=floor[inside], target=hits[inside])
        served = desk.pooled([{"hr@10": hits[inside]}])
        metrics = {name: found[name] for name in SHOWN} | {"target_hr@10": served["hr@10"]}
        rows.append(ActivityRow(group=group, users=int(inside.sum()), metrics=metrics))
    return tuple(rows)

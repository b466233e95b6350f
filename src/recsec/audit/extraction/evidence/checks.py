"""Is the evaluation itself sound? The signs of a thief who learned less than he could.

A copy that was trained too briefly says nothing about what can be copied, so a lift that is low
counts only where the deciding copy got no better by more training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from recsec.audit.extraction.tasks import Course
from recsec.reports import CopyCheck, Metric, Row, Twin

__all__ = ["Again", "copy_checks"]

REPRODUCED = 0.75
"""Of the lists it was trained on. On ml-100k (3,000 and 10,000 calls, k = 10) copies that got no
better with more training reproduced 0.84 to 0.87, those that did 0.16 to 0.72."""
NAMED = 3
CHANGES = (
    "; or the target contradicts itself, as with a cache that expires: ask the same history again "
    "minutes later, by recsec recommend"
)

Status: TypeAlias = Literal["passed", "failed", "not tried"]
Answer: TypeAlias = tuple[Status, str]


@dataclass(frozen=True)
class Again:
    """The deciding copy, trained again.

    Attributes:
        how: what was different, in words.
        before: lift of the copy as the plan wants it.
        after: lift of the other one; None where its training failed.
        why: the failure.
    """

    how: str
    before: Metric
    after: Metric | None
    why: str = ""


@dataclass(frozen=True)
class _Seen:
    rows: Sequence[Row]
    courses: Mapping[str, Course]
    again: Again | None
    twin: Twin
    steady: bool


def copy_checks(
    rows: Sequence[Row],
    courses: Mapping[str, Course],
    again: Again | None,
    twin: Twin,
    *,
    steady: bool = True,
) -> tuple[CopyCheck, ...]:
    """Every check, over the thieves of the bare target.

    Args:
        rows: of the bare target.
        courses: how copies of the bare target were trained, by cell.
        again: what more training brings; None where it was not tried.
        twin: the independent models.
        steady: whether the same history surely gets the same list, as from a checkpoint.
    """
    seen = _Seen(rows, courses, again, twin, steady)
    found = []
    for check, title, judge in CHECKS:
        status, evidence = judge(seen)
        found.append(CopyCheck(check=check, title=title, status=status, evidence=evidence))
    return tuple(found)


def _all_of(courses: Mapping[str, Course], bad: Mapping[str, str], good: str) -> Answer:
    """Passed where no copy is bad; otherwise the first of them."""
    if not courses:
        return "not tried", "no copy tells how its training went"
    if not bad:
        return "passed", f"all {len(courses):,} copies {good}"
    shown = "; ".join(f"{name}: {text}" for name, text in list(bad.items())[:NAMED])
    more = "" if len(bad) <= NAMED else f" and {len(bad) - NAMED:,} more"
    return "failed", f"{len(bad):,} of {len(courses):,} copies do not: {shown}{more}"


def _reproduces(seen: _Seen) -> Answer:
    """A function without noise that was learned is reproduced where it was seen."""
    bad = {
        name: f"{course.trained:.2f} of its lessons, {course.held_out:.2f} of held-out lists"
        for name, course in seen.courses.items()
        if course.trained is not None and course.trained < REPRODUCED
    }
    status, said = _all_of(seen.courses, bad, f"reproduce at least {REPRODUCED:g} of their lessons")
    return status, said + (CHANGES if bad and not seen.steady else "")


def _converged(seen: _Seen) -> Answer:
    """The best epoch came before the schedule ended."""
    bad = {
        name: f"best in epoch {course.best_epoch} of {course.epochs}"
        for name, course in seen.courses.items()
        if course.best_epoch == course.epochs
    }
    return _all_of(seen.courses, bad, "were best on held-out answers before their last epoch")


def _longer(seen: _Seen) -> Answer:
    """More training does not change the deciding lift by more than its interval."""
    again = seen.again
    if again is None:
        return "not tried", "needless where the level is high; off where [evaluation] says so"
    if again.after is None or again.after.value is None:
        return "not tried", f"the copy {again.how} failed: {again.why}"
    said = f"gain {_shown(again.before)} as planned, {_shown(again.after)} {again.how}"
    beaten = _below(again.before, again.after)
    return ("failed" if beaten else "passed"), said


def _monotone(seen: _Seen) -> Answer:
    """More calls never help the owner."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in seen.rows:
        what = (row.policy, row.k, row.surrogate, row.loss, row.adaptive, row.accounts)
        groups.setdefault(what, []).append(row)
    compared, drops = 0, []
    for group in groups.values():
        known = [row for row in sorted(group, key=lambda row: row.calls) if _lift(row)]
        for fewer, more in pairwise(known):
            compared += 1
            before, after = _lift(fewer), _lift(more)
            if before and after and _below(after, before):
                drops.append(
                    f"{more.policy}, k = {more.k}: {_shown(before)} at {fewer.calls:,} calls, "
                    f"{_shown(after)} at {more.calls:,}"
                )
    if not compared:
        return "not tried", "no thief has two budgets"
    if drops:
        return "failed", "; ".join(drops[:NAMED])
    return "passed", f"in none of {compared:,} steps does the gain fall below the interval before"


def _twin(seen: _Seen) -> Answer:
    """The twin's recipe is no worse than the thief's."""
    twin = (seen.twin.metrics or {}).get("hr@10")
    copies = [row.metrics["hr@10"] for row in seen.rows if "hr@10" in row.metrics]
    if twin is None or seen.twin.reason or not copies:
        return "not tried", seen.twin.reason or "nothing was measured"
    best = max(copies, key=lambda metric: metric.value or 0.0)
    said = f"HR@10 {_shown(twin, 3)} of the twin, {_shown(best, 3)} of the best copy"
    return ("failed" if _below(twin, best) else "passed"), said


def _lift(row: Row) -> Metric | None:
    metric = row.metrics.get("lift")
    return None if metric is None or metric.value is None else metric


def _below(one: Metric, other: Metric) -> bool:
    """Whether the whole interval of ``one`` lies below that of ``other``."""
    return one.high is not None and other.low is not None and one.high < other.low


def _shown(metric: Metric, digits: int = 2) -> str:
    if metric.value is None or metric.low is None or metric.high is None:
        return "not defined" if metric.value is None else f"{metric.value:.{digits}f}"
    return f"{metric.value:.{digits}f} [{metric.low:.{digits}f}, {metric.high:.{digits}f}]"


CHECKS: tuple[
    tuple[
        Literal["reproduces", "converged", "training", "monotone", "twin"],
        str,
        Callable[[_Seen], Answer],
    ],
    ...,
] = (
    ("training", "More training does not make the deciding copy better", _longer),
    ("reproduces", "Copies reproduce the lists that they were trained on", _reproduces),
    ("converged", "Copies stopped getting better before their training ended", _converged),
    ("monotone", "More calls do not make a copy worse", _monotone),
    ("twin", "The twin is no worse a recommender than the copies", _twin),
)

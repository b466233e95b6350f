"""What every defense costs and brings: rows of the report, and what the owner should make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from recsec.audit.engines import Failure
from recsec.audit.extraction.evidence.desk import Desk
from recsec.audit.extraction.evidence.findings import number
from recsec.metrics import agreement
from recsec.reports import UNDEFENDED, Defense, Finding, Metrics, Row

__all__ = ["ENOUGH", "defense_findings", "defenses_part"]

ENOUGH = 0.97
"""Utility that a defense has to keep to be worth its price."""
Place: TypeAlias = tuple[float, float] | None
"""Utility kept and lift that the best thief obtains; None where one of them is not known."""


def defenses_part(desk: Desk, rows: Sequence[Row]) -> tuple[Defense, ...]:
    """The bare target and every defense of the plan; nothing for a plan without any.

    Args:
        desk: the run.
        rows: the evidence table of all of them.
    """
    if not desk.plan.defense:
        return ()
    found = [
        Defense(
            name=UNDEFENDED,
            fingerprint=desk.found.target.fingerprint,
            quality=_quality(desk, UNDEFENDED),
            **_thieves(rows, UNDEFENDED),
        )
    ]
    for defense in desk.plan.defense:
        measured = desk.found.defenses[defense.name]
        told: dict[str, Any] = _thieves(rows, defense.name)
        if isinstance(measured, Failure):
            told |= {"quality": {}, "error": f"{measured.kind}: {measured.message}"}
        else:
            quality = _quality(desk, defense.name)
            told |= {"quality": quality, "fingerprint": measured.fingerprint}
        found.append(Defense(name=defense.name, guards=defense.guards, model=defense.model, **told))
    places = [_place(one, rows) if _met_all(one, found[0]) else None for one in found]
    return tuple(
        one.model_copy(update={"frontier": _undominated(at, places)})
        for at, one in enumerate(found)
    )


def _quality(desk: Desk, name: str) -> Metrics:
    """Through the answers, next to the bare target's on the same users."""
    served, bare = desk.served(name), desk.served(UNDEFENDED)
    overlap = agreement(served.lists, bare.lists, bare.lists.shape[1])
    found = desk.pooled([served.quality | {"overlap@10": overlap}], target=bare.quality["hr@10"])
    return {"utility" if name == "hr_ratio" else name: metric for name, metric in found.items()}


def _value(metrics: Metrics, name: str) -> float | None:
    metric = metrics.get(name)
    return None if metric is None else metric.value


def _thieves(rows: Sequence[Row], name: str) -> dict[str, Any]:
    """How many thieves it met, and the rows of those who obtained most."""

    def most(kind: Callable[[Row], bool]) -> int | None:
        lifts = [(_value(rows[at].metrics, "lift"), -at) for at in mine if kind(rows[at])]
        known = [(value, at) for value, at in lifts if value is not None]
        return -max(known)[1] if known else None

    mine = [at for at, row in enumerate(rows) if row.defense == name and row.metrics]
    return {
        "thieves": len(mine),
        "plain": most(lambda row: not row.adaptive),
        "adaptive": most(lambda row: bool(row.adaptive)),
        "best": most(lambda row: True),
    }


def _met_all(defense: Defense, bare: Defense) -> bool:
    """Whether it met every thief that the bare target met; who met fewer looks better."""
    return defense.thieves >= bare.thieves


def _place(defense: Defense, rows: Sequence[Row]) -> Place:
    utility = _value(defense.quality, "utility")
    left = None if defense.best is None else _value(rows[defense.best].metrics, "lift")
    return None if utility is None or left is None else (utility, left)


def _undominated(at: int, places: Sequence[Place]) -> bool:
    """Whether no other place is at least as good in both and better in one."""
    mine = places[at]
    if mine is None:
        return False
    others = [place for place in places if place is not None and place != mine]
    return not any(other[0] >= mine[0] and other[1] <= mine[1] for other in others)


def defense_findings(defenses: Sequence[Defense], rows: Sequence[Row]) -> tuple[Finding, ...]:
    """Which defense takes most from a thief who knows it and leaves users their lists, if any.

    A defense counts if it lies on the frontier, keeps ``ENOUGH`` of the utility, met every thief
    that the bare target met, and took something: the lower bound of its ``lift_taken``, from the
    thief who obtains most through it, is above 0. Such a thief may ignore the defense.
    """
    if not defenses:
        return ()
    bare, others = defenses[0], defenses[1:]
    tried = [one for one in others if one.adaptive is not None]
    if not tried:
        return (
            Finding(
                id="extraction-defense-untested",
                title="No thief adapted to the defenses",
                severity="moderate",
                evidence=f"{len(others)} defenses, and no thief who does anything about them.",
                advice='Add [[extraction]] with policies = "rank-law" or adaptive = [...]: a thief '
                "will know the defense.",
            ),
        )
    good = [one for one in tried if _worthwhile(one, bare, rows)]
    best = max(good, key=lambda one: _taken(one, rows)[0], default=None)
    if best is None:
        return (
            Finding(
                id="extraction-defense",
                title=f"No defense was seen to take anything at {ENOUGH:.0%} of the utility",
                severity="moderate",
                evidence="; ".join(_told(one, bare, rows) for one in others) + ".",
                advice="Limit calls per account and watch for thieves; these do not replace it.",
            ),
        )
    return (
        Finding(
            id="extraction-defense",
            title=f"{best.name} takes most from the best thief at {ENOUGH:.0%} of the utility",
            about=best.name,
            severity="info",
            evidence=_told(best, bare, rows) + ".",
            advice="Audit it again with fresh seeds: this row was chosen among several.",
        ),
    )


def _taken(defense: Defense, rows: Sequence[Row]) -> tuple[float, float]:
    """``lift_taken`` from the thief who obtains most: value and lower bound, 0 where not known."""
    metric = None if defense.best is None else rows[defense.best].metrics.get("lift_taken")
    return (0.0, 0.0) if metric is None else (metric.value or 0.0, metric.low or 0.0)


def _worthwhile(defense: Defense, bare: Defense, rows: Sequence[Row]) -> bool:
    return (
        defense.frontier
        and _met_all(defense, bare)
        and (_value(defense.quality, "utility") or 0.0) >= ENOUGH
        and _taken(defense, rows)[1] > 0
    )


def _told(defense: Defense, bare: Defense, rows: Sequence[Row]) -> str:
    """What a defense costs and leaves, in words."""
    if defense.best is None:
        return f"{defense.name}: not measured"
    row = rows[defense.best]
    met = "" if _met_all(defense, bare) else f", of {bare.thieves}"
    return (
        f"{defense.name}: {number(defense.quality, 'utility')}; of {defense.thieves} thieves{met} "
        f"{row.policy} obtains most, {number(row.metrics, 'lift')}, "
        f"{number(row.metrics, 'lift_taken')}"
    )

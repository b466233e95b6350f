"""The extraction part of ``report.html``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from recsec.reports.document import LABELS, Document
from recsec.reports.extraction.part import UNDEFENDED, Extraction
from recsec.reports.parts import Metrics

__all__ = ["extraction_fragments"]

FIDELITY = ("agr@1", "agr@5", "agr@10", "agr@20", "rbo", "tau", "lift")
SHORT = ("agr@10", "lift")
QUALITY = ("hr@10", "ndcg@10", "hr_ratio")
ACTIVITY = ("agr@10", "lift", "hr@10", "target_hr@10", "hr_ratio")
DEFENSE = ("hr@10", "ndcg@10", "overlap@10", "utility")
DEFENDED = ("agr@10", "served_agr@10", "lift", "lift_taken", "hr_ratio")
CURVE = "agr@10"


def extraction_fragments(found: Extraction, document: Document) -> dict[str, str]:
    """Verdict and body as HTML.

    Args:
        found: the part.
        document: the same as JSON, rooted at the part.
    """
    verdict = document.page(
        "extraction_verdict.html", headline=_headline(found), curve=CURVE, part="extraction"
    )
    body = document.page(
        "extraction.html",
        figures=[_figure(found, k) for k in _list_lengths(found)],
        fidelity=_columns(found, FIDELITY, rest=True),
        short=_columns(found, SHORT, rest=False),
        quality=_columns(found, QUALITY, rest=False),
        activity=ACTIVITY,
        frontier=_frontier(found),
        defense_columns=DEFENSE,
        defended=DEFENDED,
        failed=[index for index, cell in enumerate(found.cells) if cell.status != "ok"],
        shared=[
            {item.id for item in example.target} & {item.id for item in example.surrogate}
            for example in found.examples
        ],
    )
    return {"verdict": verdict, "body": body}


def _list_lengths(found: Extraction) -> list[int]:
    bare = (row for row in found.rows if row.defense == UNDEFENDED)
    return sorted({row.k for row in bare if _value(row.metrics, CURVE) is not None})


def _value(metrics: Metrics | None, name: str) -> float | None:
    metric = (metrics or {}).get(name)
    return None if metric is None else metric.value


def _columns(found: Extraction, wanted: Iterable[str], *, rest: bool) -> list[str]:
    """The metrics that some row of the table has; with ``rest`` also those without a label."""
    groups: list[Metrics] = [row.metrics for row in found.rows if row.defense == UNDEFENDED]
    groups += [found.floor.metrics, found.twin.metrics or {}]
    present = {name for metrics in groups for name in metrics}
    unknown = sorted(present - {*LABELS, "floor"}) if rest else []  # which its paragraph tells
    return [name for name in wanted if name in present] + unknown


def _headline(found: Extraction) -> dict[str, Any] | None:
    """The row that decided, and the cost of its calls."""
    index = found.verdict.row
    if index is None or index >= len(found.rows):
        return None
    row = found.rows[index]
    costs = [
        at
        for at, cost in enumerate(found.cost)
        if (cost.calls, cost.accounts) == (row.calls, row.accounts)
    ]
    return {"row": index, "cost": costs[0] if costs else None}


def _frontier(found: Extraction) -> dict[str, Any] | None:
    """The frontier of defenses with its alternative text; nothing to draw for a bare target."""
    from recsec.reports.figures.defenses import frontier, shown

    places = shown(found)
    if not places:
        return None
    parts = [
        f"{found.defenses[at].name}: utility kept {utility.value:.3f}, gain {lift.value:.3f}"
        for at, utility, lift in places
    ]
    return {
        "alt": f"Utility kept against the gain of the best thief. {'; '.join(parts)}.",
        "svg": Markup(frontier(found)),  # noqa: S704 - our own figure
    }


def _figure(found: Extraction, k: int) -> dict[str, Any]:
    """The curve of one list length with its alternative text."""
    from recsec.reports.figures.extraction import fidelity_curve, series_of

    label = LABELS[CURVE]
    parts = []
    for name, members in series_of(found.rows, k).items():
        values = [
            f"{value:.3f} at {found.rows[member].calls:,} calls"
            for member in members
            if (value := _value(found.rows[member].metrics, CURVE)) is not None
        ]
        if values:
            parts.append(f"{name}: {', '.join(values)}")
    for name, metrics in (("floor", found.floor.metrics), ("twin", found.twin.metrics)):
        if (value := _value(metrics, CURVE)) is not None:
            parts.append(f"{name}: {value:.3f}")
    return {
        "row": next(index for index, row in enumerate(found.rows) if row.k == k),
        "alt": f"{label} against API calls with lists of {k}. " + "; ".join(parts) + ".",
        "svg": Markup(fidelity_curve(found, k, metric=CURVE, label=label)),  # noqa: S704
    }

"""``report.html``: one offline page with everything an owner needs to judge an audit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from recsec.reports.document import LABELS, Document
from recsec.reports.figures.extraction import fidelity_curve, series_of
from recsec.reports.schema import Metrics, Report

__all__ = ["html"]

FIDELITY = ("agr@1", "agr@5", "agr@10", "agr@20", "rbo", "tau", "lift")
QUALITY = ("hr@10", "ndcg@10", "hr_ratio")
CURVE = "agr@10"


def html(report: Report) -> str:
    """The page of an extraction audit.

    Args:
        report: what is shown; a number that is not in it is not on the page.

    Returns:
        HTML that needs no other file, no network and no JavaScript.
    """
    document = Document(report.model_dump(mode="json"))
    return document.page(
        "extraction.html",
        figures=[_figure(report, k) for k in _list_lengths(report)],
        fidelity=_columns(report, FIDELITY, rest=True),
        quality=_columns(report, QUALITY, rest=False),
        headline=_headline(report),
        curve=CURVE,
        failed=[index for index, cell in enumerate(report.cells) if cell.status != "ok"],
        shared=[
            {item.id for item in example.target} & {item.id for item in example.surrogate}
            for example in report.examples
        ],
    )


def _list_lengths(report: Report) -> list[int]:
    measured = (row for row in report.rows if _value(row.metrics, CURVE) is not None)
    return sorted({row.k for row in measured})


def _value(metrics: Metrics | None, name: str) -> float | None:
    found = (metrics or {}).get(name)
    return None if found is None else found.value


def _columns(report: Report, wanted: Iterable[str], *, rest: bool) -> list[str]:
    """The metrics that some row of the table has; with ``rest`` also those without a label."""
    groups: list[Metrics] = [row.metrics for row in report.rows]
    groups += [report.floor.metrics, report.twin.metrics or {}]
    present = {name for metrics in groups for name in metrics}
    unknown = sorted(present - set(LABELS)) if rest else []
    return [name for name in wanted if name in present] + unknown


def _headline(report: Report) -> dict[str, Any] | None:
    """The row that decided, and the cost of its calls."""
    index = report.verdict.row
    if index is None or index >= len(report.rows):
        return None
    row = report.rows[index]
    costs = [
        at
        for at, cost in enumerate(report.cost)
        if (cost.calls, cost.accounts) == (row.calls, row.accounts)
    ]
    return {"row": index, "cost": costs[0] if costs else None}


def _figure(report: Report, k: int) -> dict[str, Any]:
    """The curve of one list length with its alternative text."""
    label = LABELS[CURVE]
    parts = []
    for name, members in series_of(report.rows, k).items():
        values = [
            f"{value:.3f} at {report.rows[member].calls:,} calls"
            for member in members
            if (value := _value(report.rows[member].metrics, CURVE)) is not None
        ]
        if values:
            parts.append(f"{name}: {', '.join(values)}")
    for name, metrics in (("floor", report.floor.metrics), ("twin", report.twin.metrics)):
        if (value := _value(metrics, CURVE)) is not None:
            parts.append(f"{name}: {value:.3f}")
    return {
        "row": next(index for index, row in enumerate(report.rows) if row.k == k),
        "alt": f"{label} against API calls with lists of {k}. " + "; ".join(parts) + ".",
        "svg": Markup(fidelity_curve(report, k, metric=CURVE, label=label)),  # noqa: S704
    }

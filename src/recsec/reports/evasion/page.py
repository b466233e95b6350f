"""The evasion part of ``report.html``."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from recsec.reports.document import Document
from recsec.reports.evasion.part import Evasion
from recsec.reports.parts import Metric

__all__ = ["evasion_fragments"]

SUCCESS = ("success@1", "success@3", "success@10", "success@100")
QUALITY = ("precision@1", "precision@5", "precision@10", "map@r", "accuracy", "accuracy@5")


def evasion_fragments(found: Evasion, document: Document) -> dict[str, str]:
    """Verdict and body as HTML.

    Args:
        found: the part.
        document: the same as JSON, rooted at the part, with the pictures.
    """
    places = {model.name: at for at, model in enumerate(found.models)}
    verdict = document.page(
        "evasion_verdict.html", part="evasion", headline=_headline(found), places=places
    )
    body = document.page(
        "evasion.html",
        figures=_figures(found),
        places=places,
        success=SUCCESS,
        quality=[name for name in QUALITY if any(name in m.quality for m in found.models)],
        worst=[_beside(found, at) for at in range(len(found.worst))],
        grids=[_grid(found, model.name) for model in found.models],
        failed=[at for at, row in enumerate(found.rows) if row.status != "ok" or row.missing],
        path=_path(found),
    )
    return {"verdict": verdict, "body": body}


def _base(found: Evasion, model: str, kind: str, eps: float) -> int | None:
    for at, rate in enumerate(found.base):
        if (rate.model, rate.kind, rate.eps) == (model, kind, eps):
            return at
    return None


def _beside(found: Evasion, at: int) -> dict[str, int | None]:
    """The base rates that stand beside a worst case."""
    row = found.worst[at]
    return {
        "clean": _base(found, row.model, "clean", 0.0),
        "noise": _base(found, row.model, "noise", row.eps),
    }


def _headline(found: Evasion) -> dict[str, Any] | None:
    """The worst case that decided, and its base rates."""
    at = found.verdict.row
    if at is None or at >= len(found.worst):
        return None
    return {"row": at, **_beside(found, at)}


def _grid(found: Evasion, model: str) -> dict[str, Any]:
    """Attacks by budgets: the number of the row of each cell."""
    rows = [(at, row) for at, row in enumerate(found.rows) if row.model == model]
    budgets = sorted({row.eps for _, row in rows})
    lines: dict[tuple[str, bool], dict[float, int]] = {}
    for at, row in rows:
        lines.setdefault((row.attack, row.survivors), {})[row.eps] = at
    first = {row.eps: at for at, row in rows}
    return {
        "budgets": [first[eps] for eps in budgets],
        "lines": [
            {"first": min(cells.values()), "cells": [cells.get(eps) for eps in budgets]}
            for cells in lines.values()
        ],
        "model": model,
    }


def _shown(metric: Metric | None) -> str:
    return "not measured" if metric is None or metric.value is None else f"{metric.value:.3f}"


def _figures(found: Evasion) -> dict[str, Any]:
    """Every figure with its alternative text."""
    from recsec.reports.figures.evasion import (
        cosine_quantiles,
        distance_histogram,
        success_curve,
        trade_off,
    )

    curves = []
    for at, model in enumerate(found.models):
        worst = [row for row in found.worst if row.model == model.name]
        if worst:
            values = ", ".join(f"{_shown(r.success.get('success@3'))} at {r.eps:g}" for r in worst)
            curves.append(
                {
                    "model": at,
                    "alt": f"success@3 on {model.name} by eps. Worst case: {values}.",
                    "svg": _safe(success_curve(found, model.name)),
                }
            )
    figures: dict[str, Any] = {"curves": curves, "trade": None, "quantiles": None}
    if found.worst and any("precision@10" in model.quality for model in found.models):
        figures["trade"] = {"alt": _trade_alt(found), "svg": _safe(trade_off(found))}
    if found.quantiles:
        middle = len(found.quantiles[0].before) // 2
        medians = "; ".join(
            f"{row.model}: median {row.before[middle]:.3f} before, {row.after[middle]:.3f} after"
            for row in found.quantiles
        )
        figures["quantiles"] = {
            "alt": f"Cosine to the target before and after the worst case. {medians}.",
            "svg": _safe(cosine_quantiles(found)),
        }
    figures["distances"] = [
        {
            "model": at,
            "alt": f"Distances on {row.model}: nearest neighbors are near, targets are far.",
            "svg": _safe(distance_histogram(found, at)),
        }
        for at, row in enumerate(found.distances)
    ]
    return figures


def _trade_alt(found: Evasion) -> str:
    from recsec.reports.figures.evasion import judged_worst

    parts = []
    for model in found.models:
        at = judged_worst(found, model.name)
        if at is not None:
            parts.append(
                f"{model.name}: precision@10 {_shown(model.quality.get('precision@10'))}, "
                f"worst-case success@10 {_shown(found.worst[at].success.get('success@10'))}"
            )
    return f"Quality against risk. {'; '.join(parts)}."


def _safe(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - our own figure


def _path(found: Evasion) -> str:
    """The way of the attacked photo as the points of a polyline on a field of 1000."""
    if found.map is None:
        return ""
    return " ".join(f"{1000 * place.x:.1f},{1000 * place.y:.1f}" for place in found.map.path)

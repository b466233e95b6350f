"""Evasion on a terminal: worst cases beside what the models are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from recsec.cli.shared.tables import metric_text
from recsec.cli.shared.views import ThreatView

if TYPE_CHECKING:
    from recsec.reports import Evasion

__all__ = ["EvasionView"]

SUCCESS = ("success@1", "success@3", "success@10")


class EvasionView(ThreatView):
    """Per-pair worst cases, and checks that failed."""

    def flat(self, part: Evasion) -> dict[str, Any]:
        """Its tables, under one key."""
        tables = {
            "models": part.models,
            "rows": part.rows,
            "worst": part.worst,
            "base": part.base,
            "checks": part.checks,
        }
        told: dict[str, Any] = {
            name: [row.model_dump(mode="json") for row in rows] for name, rows in tables.items()
        }
        return {"evasion": told | {"protocol": part.protocol.statement}}

    def show(self, console: Console, part: Evasion) -> None:
        """The table, and what could not be measured."""
        _show_worst(console, part)
        for row in part.rows:
            if row.error is not None:
                console.print(f"{row.status}: {row.id}: {row.error}")


def _show_worst(console: Console, found: Evasion) -> None:
    """Per-pair worst cases with what the model is worth, 95 % intervals in brackets."""
    table = Table("model", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("eps", "pairs", *SUCCESS, "p@10"):
        table.add_column(name.replace("success", "s"), justify="right")
    models = {model.name: model for model in found.models}
    for row in found.worst:
        quality = models[row.model].quality.get("precision@10")
        cells = [metric_text(row.success.get(name)) for name in SUCCESS]
        worth = "-" if quality is None or quality.value is None else f"{quality.value:.3f}"
        table.add_row(row.model, f"{row.eps:g}", f"{row.pairs:,}", *cells, worth)
    console.print(table)
    console.print(
        "s@r: share of photos that an attack brought into the first r places, lower is safer; "
        "p@10: precision@10, higher is better"
    )
    for check in found.checks:
        if check.status == "failed":
            console.print(f"check failed: {check.model}: {check.title}: {check.evidence}")

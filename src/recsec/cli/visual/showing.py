"""The evasion part of a report, as JSON rows and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from recsec.cli.shared.tables import metric_text

if TYPE_CHECKING:
    from recsec.reports import Evasion

__all__ = ["evasion_json", "show_evasion"]

SUCCESS = ("success@1", "success@3", "success@10")


def evasion_json(found: Evasion) -> dict[str, Any]:
    """The rows, flat."""
    return {
        "models": [model.model_dump(mode="json") for model in found.models],
        "rows": [row.model_dump(mode="json") for row in found.rows],
        "worst": [row.model_dump(mode="json") for row in found.worst],
        "base": [row.model_dump(mode="json") for row in found.base],
        "checks": [check.model_dump(mode="json") for check in found.checks],
        "protocol": found.protocol.statement,
    }


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
    console.print("s@r: worst case over all attacks inside eps; p@10: precision@10", markup=False)
    for check in found.checks:
        if check.status == "failed":
            console.print(
                f"check failed: {check.model}: {check.title}: {check.evidence}", markup=False
            )


def show_evasion(console: Console, found: Evasion) -> None:
    """Worst cases, failed checks, and what could not be measured."""
    _show_worst(console, found)
    for row in found.rows:
        if row.error is not None:
            console.print(f"{row.status}: {row.id}: {row.error}", markup=False)

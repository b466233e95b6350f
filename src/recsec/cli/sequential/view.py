"""Extraction on a terminal: rows of the evidence table, and of defenses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsec.cli.shared.tables import bound_text, metric_text
from recsec.cli.shared.views import ThreatView

if TYPE_CHECKING:
    from recsec.reports import Extraction, Metrics

__all__ = [
    "ExtractionView",
    "count_json",
    "metrics_json",
    "show_activity",
    "show_checks",
    "show_defenses",
    "show_rows",
]

COLUMNS = ("agr@1", "agr@10", "lift")


class ExtractionView(ThreatView):
    """The bare target first, then what defenses cost and leave."""

    def flat(self, part: Extraction) -> dict[str, Any]:
        """Rows, defenses and protocol."""
        return {
            "rows": [_row_json(part, at) for at in range(len(part.rows))],
            "defenses": [one.model_dump(mode="json") for one in part.defenses],
            "activity": [one.model_dump(mode="json") for one in part.activity],
            "checks": [one.model_dump(mode="json") for one in part.checks],
            "protocol": part.protocol.statement,
        }

    def show(self, console: Console, part: Extraction) -> None:
        """Tables, and what could not be measured."""
        show_rows(console, part)
        show_activity(console, part)
        show_defenses(console, part)
        for one in part.cells:
            if one.error is not None:
                console.print(f"{one.status}: {one.id}: {one.error}")
        show_checks(console, part)


def show_activity(console: Console, found: Extraction) -> None:
    """The deciding copy for the least and the most active tenth of the users."""
    if len(found.activity) < 2:
        return
    for which, row in (("least", found.activity[0]), ("most", found.activity[-1])):
        numbers = (f"{name} {metric_text(row.metrics[name])}" for name in ("agr@10", "hr_ratio"))
        console.print(f"{which} active, {row.group}, {row.users:,} users: {', '.join(numbers)}")


def show_checks(console: Console, found: Extraction) -> None:
    """Signs that the thief learned less than he could."""
    for check in found.checks:
        if check.status == "failed":
            console.print(f"check failed: {check.title}: {check.evidence}")


def metrics_json(found: Extraction, metrics: Metrics) -> dict[str, Any]:
    """The metrics of a row or cell as flat keys, with floor and twin beside them."""
    flat: dict[str, Any] = {key: value.model_dump() for key, value in metrics.items()}
    flat.setdefault("floor", found.floor.metrics["agr@10"].model_dump())
    twin = (found.twin.metrics or {}).get("agr@10")
    flat["twin"] = None if twin is None else twin.model_dump()
    if found.twin.reason:
        flat["twin_reason"] = found.twin.reason
    return flat


def count_json(value: int) -> dict[str, Any]:
    """A number that was set, not measured, in the form of a metric."""
    return {"value": value, "low": None, "high": None, "n": 1}


def _row_json(found: Extraction, at: int) -> dict[str, Any]:
    row = found.rows[at]
    return {
        "defense": row.defense,
        "policy": row.policy,
        "k": row.k,
        "calls": count_json(row.calls),
        "accounts": row.accounts,
        "surrogate": row.surrogate,
        "loss": row.loss,
        "seeds": list(row.seeds),
        "missing": row.missing,
        **metrics_json(found, row.metrics),
    }


def show_rows(console: Console, found: Extraction) -> None:
    """The bare target with the floor and the twin under it, 95 % intervals in brackets."""
    from recsec.reports import UNDEFENDED

    table = Table("policy", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("k", "calls", *COLUMNS):
        table.add_column("gain" if name == "lift" else name, justify="right")
    for row in found.rows:
        if row.defense == UNDEFENDED:
            cells = [metric_text(row.metrics.get(name)) for name in COLUMNS]
            table.add_row(row.policy, str(row.k), f"{row.calls:,}", *cells)
    table.add_section()
    baselines = {"floor": found.floor.metrics, "twin": found.twin.metrics or {}}
    for label, metrics in baselines.items():
        table.add_row(label, "", "0", *(metric_text(metrics.get(name)) for name in COLUMNS))
    console.print(table)
    console.print(
        f"floor: {found.floor.name}, which needs no call; gain: 0 is the floor, 1 a perfect copy; "
        f"twin: {found.twin.reason or 'a model that you would train yourself on the same data'}"
    )


def _short(metrics: Metrics, name: str, *, bounds: bool = False, digits: int = 2) -> str:
    """Without a leading zero, and with its interval where asked: eight columns have to fit."""
    metric = metrics.get(name)
    if metric is None or metric.value is None:
        return "-"
    value = f"{metric.value:.{digits}f}".replace("0.", ".", 1)
    if not bounds or metric.low is None or metric.high is None or metric.low == metric.high:
        return value
    return f"{value} ({bound_text(metric.low)}-{bound_text(metric.high)})"


def show_defenses(console: Console, found: Extraction) -> None:
    """What each defense costs and leaves, 95 % intervals in brackets; nothing for a bare target."""
    if not found.defenses:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("defense", overflow="fold")
    for name in ("HR@10", "NDCG", "same", "utility", "plain", "adapt", "taken"):
        table.add_column(name, justify="right", no_wrap=True)
    for defense in found.defenses:
        quality = defense.quality
        thieves: list[Metrics] = [
            {} if at is None else found.rows[at].metrics
            for at in (defense.plain, defense.adaptive, defense.best)
        ]
        table.add_row(
            Text(defense.name),
            _short(quality, "hr@10", digits=3),
            _short(quality, "ndcg@10", digits=3),
            _short(quality, "overlap@10"),
            _short(quality, "utility", bounds=True),
            *(_short(metrics, "lift") for metrics in thieves[:2]),
            _short(thieves[2], "lift_taken", bounds=True),
        )
    console.print(table)
    console.print(
        "same: overlap@10 with the lists of the undefended target; utility: share of\n"
        "HR@10 that users keep; plain, adapt: highest gain of a thief who ignores\n"
        "defenses, and of one who adapts; taken: share of the higher gain taken away",
    )

"""How results look: tables in the house style, numbers, intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsec.sources import SAID, Capability

if TYPE_CHECKING:
    from recsec.evaluation import GroupRow
    from recsec.reports import Metric
    from recsec.stats import Estimate

__all__ = [
    "Description",
    "bound_text",
    "counted",
    "group_table",
    "interval",
    "metric_text",
    "name_table",
    "percent",
    "plain_table",
    "show_commands",
]


@dataclass(frozen=True)
class Description:
    """What there is to say of data.

    Attributes:
        summary: flat and JSON-able.
        draw: writes figures into a folder and returns their paths.
        show: prints tables.
    """

    summary: Mapping[str, Any]
    draw: Callable[[Path], Sequence[Path]]
    show: Callable[[Console], None]


def counted(value: Any) -> str:
    """Thousands apart; a dash for None."""
    return "-" if value is None else f"{value:,}"


def percent(value: Any) -> str:
    """Of one, as percent; a dash for None."""
    return "-" if value is None else f"{100 * value:.2f} %"


def name_table(title: str) -> Table:
    """A table of names and values without a header."""
    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=None,
        show_header=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def interval(estimate: Estimate | None, *, digits: int = 4, sign: bool = False) -> Text:
    """A value over its 95 % interval, two lines; a dash where there is none."""
    if estimate is None or estimate.value != estimate.value:
        return Text("-", style="dim")
    form = f"{'+' if sign else ''}.{digits}f"
    text = Text(format(estimate.value, form))
    if estimate.low is not None and estimate.high is not None:
        text.append(f"\n{estimate.low:{form}}..{estimate.high:{form}}", style="dim")
    return text


def plain_table(title: str, columns: Sequence[str], *, left: int = 1) -> Table:
    """A table in the house style: the first ``left`` columns flush left, numbers flush right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for at, column in enumerate(columns):
        words = at < left  # numbers keep their line, words give way
        table.add_column(
            column, justify="left" if words else "right", no_wrap=not words, overflow="fold"
        )
    return table


def group_table(
    title: str,
    rows: Sequence[GroupRow],
    columns: Mapping[str, str],
    cell: Callable[[str, Estimate], Text | str],
) -> Table:
    """A row per group of users, and a column per metric that the groups have.

    Args:
        title: of the table.
        rows: at least one; all have the same metrics.
        columns: name of a metric and its heading.
        cell: what to show of a metric, by its name and value.
    """
    known = {name: label for name, label in columns.items() if name in rows[0].metrics}
    table = plain_table(title, ["group", "users", *known.values()])
    for row in rows:
        table.add_row(row.group, str(row.users), *(cell(name, row.metrics[name]) for name in known))
    return table


def bound_text(value: float) -> str:
    """Two digits without a leading zero: three intervals have to fit 80 columns."""
    return f"{value:.2f}".replace("0.", ".", 1)


def metric_text(metric: Metric | None) -> str:
    """A metric of a report with its interval in brackets; a dash where there is none."""
    if metric is None or metric.value is None:
        return "-"
    if metric.low is None or metric.high is None:
        return f"{metric.value:.2f}"
    return f"{metric.value:.2f} ({bound_text(metric.low)}-{bound_text(metric.high)})"


def show_commands(out: Console, lacks: Mapping[str, Sequence[Capability]]) -> None:
    """Which commands work, and what the others need.

    Args:
        lacks: by command, what is missing.
    """
    said = {words.removesuffix(" photos"): missing for words, missing in lacks.items()}
    works = [words for words, missing in said.items() if not missing]
    out.print(f"works with: {', '.join(works)}", soft_wrap=True, highlight=False)
    for words, missing in said.items():
        if missing:
            needed = " and ".join(SAID[one] for one in missing)
            out.print(f"not with {words}: it needs {needed}", soft_wrap=True, highlight=False)

"""The tables of a report, each flat: a metric is four columns, a list is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from recsec.errors import UsageError
from recsec.reports.parts import Finding, Metric, Part
from recsec.reports.schema import Report
from recsec.reports.threat import parts_of

__all__ = ["table_named", "tables_of"]


def tables_of(report: Report) -> dict[str, pl.DataFrame]:
    """All tables of a report: ``findings``, and ``THREAT.FIELD`` for each list of a threat's part.

    A metric ``agr@10`` becomes ``agr@10``, ``agr@10.low``, ``agr@10.high`` and ``agr@10.n``.
    """
    found = {"findings": _table(Finding, report.findings)}
    for threat, part in parts_of(report):
        for name in type(part).model_fields:
            value = getattr(part, name)
            if isinstance(value, tuple) and value and isinstance(value[0], Part):
                found[f"{threat.name}.{name}"] = _table(type(value[0]), value)
    return found


def table_named(report: Report, name: str) -> pl.DataFrame:
    """One table; its threat may be left out where only one has such a table.

    Raises:
        UsageError: there is none of that name, or several.
    """
    tables = tables_of(report)
    fitting = [one for one in tables if one == name or one.partition(".")[2] == name]
    if len(fitting) != 1:
        why = "several" if fitting else "no"
        raise UsageError(
            f"{why} tables called {name!r} in this report",
            hint=f"tables: {', '.join(fitting or tables)}",
        )
    return tables[fitting[0]]


def _table(kind: type[Part], rows: Sequence[Part]) -> pl.DataFrame:
    flat = [_flat(row) for row in rows]
    if not flat:
        return pl.DataFrame(schema=dict.fromkeys(kind.model_fields, pl.String))
    names = dict.fromkeys(name for row in flat for name in row)
    return pl.DataFrame({name: [row.get(name) for row in flat] for name in names}, strict=False)


def _flat(part: Part) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Mapping) and all(isinstance(one, Metric) for one in value.values()):
            for key, metric in value.items():
                row[key] = metric.value
                row |= {f"{key}.{end}": getattr(metric, end) for end in ("low", "high", "n")}
        else:
            row[name] = _cell(value)
    return row


def _cell(value: Any) -> Any:
    """A scalar as it is; anything else as words."""
    if isinstance(value, Part):
        return " ".join(str(_cell(getattr(value, name))) for name in type(value).model_fields)
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_cell(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(_cell(one)) for one in value)
    return value

"""The tables of a report, each flat: a metric is four columns, a list is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from recsec.errors import UsageError
from recsec.reports.parts import Finding, Metric, Part
from recsec.reports.schema import Report
from recsec.reports.threat import parts_of
from recsec.runs import atomic_write_text
from recsec.text import visible

__all__ = ["markdown", "table_named", "tables_of", "write_tables"]


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


def write_tables(report: Report, folder: Path) -> list[Path]:
    """Write every table as CSV and as Markdown; returns the files.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    written = []
    for name, table in tables_of(report).items():
        tame = table.with_columns(
            pl.when(pl.col(pl.String).str.contains(r"^[=+\-@\t\r]"))
            .then(pl.lit("'") + pl.col(pl.String))
            .otherwise(pl.col(pl.String))
            .name.keep()
        )
        for suffix, text in (("csv", tame.write_csv()), ("md", markdown(table))):
            path = folder / f"{name}.{suffix}"
            atomic_write_text(path, text)
            written.append(path)
    return written


def markdown(table: pl.DataFrame) -> str:
    r"""A table in Markdown; numbers with six digits, what would end a cell is escaped.

    >>> print(markdown(pl.DataFrame({"cell": ["a|b"], "agr@10": [0.5]})), end="")
    | cell | agr@10 |
    |---|---|
    | a\|b | 0.5 |
    """
    lines = ["| " + " | ".join(map(_words, table.columns)) + " |", "|" + "---|" * table.width]
    lines += ["| " + " | ".join(map(_words, row)) + " |" for row in table.iter_rows()]
    return "\n".join(lines) + "\n"


def _words(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else visible(str(value))
    kept = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(kept.split())

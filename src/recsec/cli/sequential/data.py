"""The part of ``recsec data`` that is about interactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from recsec.cli.shared.common import JsonOption, QuietOption, SeedOption
from recsec.cli.shared.output import emit
from recsec.cli.shared.tables import Description, counted, name_table, percent, plain_table

if TYPE_CHECKING:
    from recsec.data import Analysis, Dialect, Filters

__all__ = ["describe_interactions", "make_synthetic"]

Form = Callable[[Any], str]


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _ratio(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}"


def _year(value: Any) -> str:
    return "-" if value is None else f"{value:.0f}"


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


WIDE = 40
"""Characters of an id that stay on one line, a UUID's 36 among them."""

ROWS: Mapping[str, tuple[str, Form]] = {
    "users": ("users", counted),
    "items": ("items", counted),
    "interactions": ("interactions", counted),
    "density": ("density", percent),
    "length_min": ("length, shortest", counted),
    "length_median": ("length, median", _number),
    "length_mean": ("length, mean", _number),
    "length_max": ("length, longest", counted),
    "item_gini": ("Gini of item popularity", _ratio),
    "top_tenth_share": ("share of the top 10 % of items", percent),
    "repeats": ("repeated user-item pairs", counted),
    "rating_mean": ("mean rating", _ratio),
    "year_first": ("first release year", _text),
    "year_mean": ("mean release year of interactions", _year),
    "year_last": ("last release year", _text),
    "times": ("times", _text),
    "first_day": ("first day", _text),
    "last_day": ("last day", _text),
    "days": ("days", counted),
}


def describe_interactions(
    name: str,
    source: str | None,
    columns: Mapping[str, str] | None,
    dialect: Dialect | None,
    filters: Filters,
) -> Description:
    """What ``recsec data analyze`` says of interactions.

    Args:
        name: of the data set.
        source: what ``--from`` says.
        columns: what ``--columns`` says.
        dialect: what ``--sep`` and the like say.
        filters: rules.

    Raises:
        DataError: missing, broken or empty data.
    """
    from recsec.data import analyze, load

    analysis = analyze(load(name, source=source, columns=columns, dialect=dialect, filters=filters))

    def draw(folder: Path) -> list[Path]:
        from recsec.reports.figures.data import draw

        return draw(analysis, folder)

    return Description(analysis.summary, draw, lambda console: _show(console, analysis))


def _show(console: Console, analysis: Analysis) -> None:
    summary = analysis.summary
    table = name_table(analysis.name + (" (synthetic: made up)" if analysis.synthetic else ""))
    for key, (words, form) in ROWS.items():
        if summary[key] is not None:
            table.add_row(words, Text(form(summary[key])))
    console.print(table)
    console.print()

    dropped = name_table("What the filters dropped")
    dropped.add_row("rows read", counted(summary["rows_read"]))
    for key, value in summary.items():
        if key.startswith("dropped["):
            dropped.add_row(key[8:-1], counted(value))
    console.print(dropped)

    if analysis.genres.height:
        genres = plain_table("Genres", ["genre", "items", "rows", "share of rows"])
        for genre, items, rows in analysis.genres.iter_rows():
            share = percent(summary[f"genre_share[{genre}]"])
            genres.add_row(Text(genre), counted(items), counted(rows), share)
        console.print(genres)

    best = [(str(row["id"]), row["title"], row["rows"]) for row in analysis.top.to_dicts()]
    titled = any(title != item for item, title, _ in best)
    left = ["id", "title"] if titled else ["id"]
    top = plain_table("Top 20 items", [*left, "rows"], left=len(left))
    top.columns[0].min_width = min(WIDE, max((len(item) for item, _, _ in best), default=0))
    for item, title, rows in best:
        shown = [item, title] if titled else [item]
        top.add_row(*map(Text, shown), counted(rows))
    console.print(top)
    for said in summary["notes"]:
        console.print(Text(f"Note: {said}."))


def make_synthetic(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="A name ending in .csv or .parquet.")
    ],
    users: Annotated[int, typer.Option(min=1, help="Users.")] = 1000,
    items: Annotated[int, typer.Option(min=20, help="Items.")] = 300,
    length: Annotated[
        int | None,
        typer.Option(min=5, help="Mean rows per user, at most a quarter of the items."),
    ] = None,
    clusters: Annotated[int, typer.Option(min=2, max=18, help="Genres, each with its items.")] = 8,
    popularity: Annotated[
        float, typer.Option(min=0, max=2, help="Exponent of the power law of popularity.")
    ] = 0.7,
    chain: Annotated[
        float, typer.Option(min=0, max=1, help="Share of steps to planted successors.")
    ] = 0.6,
    restart: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of steps that start over anywhere.")
    ] = 0.1,
    seed: SeedOption = 0,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make up interactions with a planted structure, and say the best HR@10 that it allows.

    The same data, with titles and genres, is loaded by the name that this command prints.
    """
    from recsec.data import SyntheticConfig, best_hit_rate, write_synthetic

    config = SyntheticConfig.checked(
        {
            "users": users,
            "items": items,
            "length": length,
            "clusters": clusters,
            "popularity": popularity,
            "chain": chain,
            "restart": restart,
            "seed": seed,
        }
    )
    rows = write_synthetic(config, out)
    result = {
        "path": str(out),
        "name": config.spec(),
        "rows": rows,
        "users": users,
        "items": items,
        "best_hr@10": best_hit_rate(config, k=10),
    }

    def render(console: Console) -> None:
        table = name_table("")
        table.add_row("file", Text(str(out)))
        table.add_row("rows", counted(rows))
        table.add_row("best possible HR@10", f"about {result['best_hr@10']:.3f}")
        table.add_row("loads by name as", Text(config.spec()))
        console.print(table)

    emit(result, render, json=json)

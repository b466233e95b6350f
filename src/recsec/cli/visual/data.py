"""The part of ``recsec data`` that is about photos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from recsec.cli.shared.output import progress
from recsec.cli.shared.tables import Description, counted, name_table, percent, plain_table
from recsec.errors import UsageError

if TYPE_CHECKING:
    from recsec.data import Dialect, Filters, PhotoAnalysis

__all__ = ["describe_photos"]

SKIPPED = {
    "unlabeled": "without a label",
    "repeated_ids": "repeated ids",
    "missing": "file not there",
    "broken": "broken files",
    "huge": "too many pixels",
    "exact": "equal pixels",
    "near": "saved again",
}


def describe_photos(
    name: str,
    source: str | None,
    columns: Mapping[str, str] | None,
    dialect: Dialect | None,
    filters: Filters,
) -> Description:
    """What ``recsec data analyze`` says of photos.

    Args:
        name: of the photos.
        source: what ``--from`` says.
        columns: what ``--columns`` says.
        dialect: what ``--sep`` and the like say.
        filters: of interactions; they must be the defaults.

    Raises:
        UsageError: filters were given.
        DataError: missing or broken data.
    """
    from recsec.data import analyze_photos, load_photos

    if filters != type(filters)():
        raise UsageError(f"{name} holds photos; --min-rating and the like are for interactions")
    with progress() as report:
        photos = load_photos(name, source=source, columns=columns, dialect=dialect, progress=report)
    analysis = analyze_photos(photos)

    def draw(folder: Path) -> list[Path]:
        from recsec.reports.figures.photos import draw_photos

        return draw_photos(analysis, folder)

    return Description(analysis.summary, draw, lambda console: _show(console, analysis))


def _show(console: Console, analysis: PhotoAnalysis) -> None:
    summary = analysis.summary
    table = name_table(analysis.name + (" (synthetic: made up)" if analysis.synthetic else ""))
    table.add_row("photos", counted(summary["photos"]))
    table.add_row("categories", counted(summary["categories"]))
    table.add_row("with at least 20 photos", counted(summary["categories_of_20"]))
    table.add_row("photos in these", counted(summary["photos_in_categories_of_20"]))
    for side in ("width", "height"):
        if summary[f"{side}_min"] is not None:
            low, middle, high = (summary[f"{side}_{key}"] for key in ("min", "median", "max"))
            table.add_row(f"{side}, px", f"{low:,} to {high:,}, median {middle:,.0f}")
    table.add_row("made square by", Text(summary["resize"]))
    console.print(table)
    console.print()

    skipped = name_table("What was skipped")
    skipped.add_row("rows listed", counted(summary["listed"]))
    for key, words in SKIPPED.items():
        skipped.add_row(words, counted(summary[f"skipped[{key}]"]))
    console.print(skipped)
    for fault in summary["faults"]:
        console.print(Text(f"skipped {fault}"))
    for text in summary["notes"]:
        console.print(Text(text))

    tables = {"category": analysis.categories.rename({"category": "value"})} | analysis.attributes
    for name, counts in tables.items():
        shown = plain_table(f"{name}: {counts.height:,} values", [name, "photos", "share"])
        for value, photos in counts.head(12).iter_rows():
            shown.add_row(Text(value), counted(photos), percent(photos / summary["photos"]))
        if counts.height > 12:
            shown.add_row("...", "", "")
        console.print(shown)

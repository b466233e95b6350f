"""How a list of items looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from recsec.cli.shared.output import note

if TYPE_CHECKING:
    from recsec.data import Catalog
    from recsec.targets import Unknown

__all__ = ["genre_line", "items_table", "note_unknown", "unknown_json"]


def items_table(catalog: Catalog, items: Sequence[int]) -> Table:
    """Numbered items with id, title and genres, one line each where ids are short."""
    ids = [str(catalog.ids[item - 1]) for item in items]
    table = Table(box=box.SIMPLE, expand=True)
    table.add_column("", justify="right", style="dim")
    table.add_column("id", justify="right", max_width=24, overflow="fold")
    table.add_column("title", ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column("genres", ratio=2, no_wrap=True, overflow="ellipsis")
    for at, (item, identifier) in enumerate(zip(items, ids, strict=True), start=1):
        genres = ", ".join(catalog.genres[item - 1])
        table.add_row(str(at), Text(identifier), Text(catalog.title(item)), Text(genres))
    return table


def genre_line(catalog: Catalog, items: Sequence[int], *, most: int = 4) -> str:
    """The most frequent genres of some items, such as ``Drama 6, Comedy 3``."""
    found = Counter(genre for item in items if item > 0 for genre in catalog.genres[item - 1])
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{genre} {count}" for genre, count in ranked[:most])


def unknown_json(found: Unknown) -> dict[str, Any]:
    """How many listed ids the catalog lacks."""
    return {"listed": found.listed, "unknown": found.unknown, "share": found.share}


def note_unknown(found: Unknown) -> None:
    """Say that ids were left out, if any were."""
    if found.unknown:
        note(f"{'warning: ' if found.grave else ''}{found.said()}")

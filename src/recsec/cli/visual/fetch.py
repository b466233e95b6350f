"""``recsec data fetch``: photos that are published as a list of addresses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from recsec.cli.shared.common import (
    JsonOption,
    QuietOption,
    SepOption,
    dialect_of_tables,
    parse_columns,
)
from recsec.cli.shared.output import emit, progress
from recsec.cli.shared.tables import counted, name_table
from recsec.errors import DataError

if TYPE_CHECKING:
    from recsec.data import Fetched

__all__ = ["fetch"]


def fetch(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A table with a column of http(s) addresses.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the photos go.")],
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="url=COLUMN",
            help="The column of addresses, where it has no usual name: image_url, url, image.",
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0.01, max=1000, help="Most requests to one host in a second.")
    ] = 2.0,
    sep: SepOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring photos from a table of addresses into a folder, for --data and recsec data analyze.

    robots.txt is obeyed. A photo has at most 20 MiB and is kept under the hash of its bytes; the
    other columns go into labels.csv. The same command goes on where it was stopped, and asks again
    for what failed.
    """
    from recsec.data import fetch_photos

    chosen, dialect = parse_columns(columns) or None, dialect_of_tables()
    with progress() as report:
        found = fetch_photos(
            table, out, columns=chosen, dialect=dialect, rate=rate, progress=report
        )
    result = {
        "folder": str(found.folder),
        "addresses": found.addresses,
        "photos": found.here,
        "failed": [
            {"why": why, "addresses": count, "example": example}
            for why, (count, example) in found.failed.items()
        ],
    }
    emit(result, lambda console: _show(console, found), json=json)
    if not found.here:
        why, (_, example) = next(iter(found.failed.items()))
        raise DataError(f"no photo came: {why}, such as {example}")


def _show(console: Console, found: Fetched) -> None:
    table = name_table("")
    table.add_row("addresses", counted(found.addresses))
    table.add_row("photos", f"{counted(found.here)} in {found.folder}")
    for why, (count, example) in found.failed.items():
        table.add_row("failed", Text(f"{counted(count)}: {why}, such as {example}"))
    console.print(table)

"""``recsec data``: get, describe and make data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from recsec.cli.sequential.data import describe_interactions, make_synthetic
from recsec.cli.sequential.traffic import make_traffic
from recsec.cli.shared.common import (
    DropBadOption,
    JsonOption,
    QuietOption,
    SepOption,
    TimeFormatOption,
    dialect_of_tables,
    parse_columns,
)
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.shared.tables import counted, name_table, plain_table
from recsec.cli.visual.data import describe_photos
from recsec.cli.visual.fetch import fetch

if TYPE_CHECKING:
    from recsec.data import Receipt

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A known set, synthetic:users=500,items=200, photos:items=600, or a file or folder "
        "of yours.",
    ),
]


@app.callback()
def data() -> None:
    """Get, describe and make data sets."""


@app.command("list")
def list_sets(json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Name the public data sets that recsec knows, and say which are at hand."""
    from recsec.data import KNOWN, KNOWN_PHOTOS, cache_folder, read_receipt
    from recsec.data.sources.cache import mirrored

    sets = []
    for known in (*KNOWN.values(), *KNOWN_PHOTOS.values()):
        where = "cache" if read_receipt(known) else "mirror" if mirrored(known) else None
        users, items, rows = known.counts or (None, None, None)
        sets.append(
            {
                "name": known.name,
                "kind": "photos" if known.name in KNOWN_PHOTOS else "interactions",
                "users": users,
                "items": items,
                "interactions": rows,
                "at_hand": where,
                "about": known.about,
                "license": known.license,
            }
        )

    def render(console: Console) -> None:
        table = plain_table("", ["name", "users", "items", "interactions", "at hand"])
        for entry in sets:
            counts = [entry[key] for key in ("users", "items", "interactions")]
            shown = ["" if count is None else f"{count:,}" for count in counts]
            if entry["kind"] == "photos":
                shown[-1] = "photos"
            table.add_row(Text(str(entry["name"])), *shown, str(entry["at_hand"] or "-"))
        console.print(table)
        for entry in sets:
            console.print(Text(f"{entry['name']}: {entry['about']}"))
        console.print(Text("synthetic: interactions, made up, with a known best answer"))
        console.print(Text("photos: product photos, made up: shape x texture x color"))

    emit({"sets": sets, "cache": str(cache_folder())}, render, json=json)


@app.command("get")
def get_set(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A set of recsec data list.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="PATH|URL", help="Take the archive, or a folder of photos, from here."
        ),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put a public data set into the cache, checked.

    A download must have its publisher's checksum. An archive from --from or from the folder in
    RECSEC_MIRROR may be packed anew, so it is checked by members, columns and counts. A folder of
    photos stays where it is.
    """
    from recsec.data import KNOWN_PHOTOS, get, known

    terms = (KNOWN_PHOTOS.get(name) or known(name)).license
    with progress() as report:
        receipt = get(name, source=source, progress=report)
    result = receipt.model_dump(mode="json", exclude_none=True) | {"license": terms}
    emit(result, lambda console: _show_receipt(console, receipt, terms), json=json)


COUNTED = ("users", "items", "interactions", "photos", "categories")


def _show_receipt(console: Console, receipt: Receipt, terms: str) -> None:
    counts = {key: getattr(receipt, key) for key in COUNTED}
    held = ", ".join(f"{counted(held)} {key}" for key, held in counts.items() if held is not None)
    checked = {
        "publisher": "the publisher's checksum",
        "content": "members, columns and counts; packed anew, not the publisher's bytes",
    }
    table = name_table("")
    for key, value in {
        "data": receipt.name,
        "archive": str(receipt.path),
        "from": receipt.source,
        "checked by": checked[receipt.checked],
        "holds": held,
        "md5": receipt.md5 or "none: a folder, read where it lies",
        "sha256": receipt.sha256,
        "terms": terms,
    }.items():
        table.add_row(key, Text(value))
    console.print(table)


@app.command("analyze")
def analyze_set(
    name: NameArgument,
    source: Annotated[
        str | None, typer.Option("--from", metavar="PATH", help="Read this archive instead.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="KEY=NAME,..",
            help="Own files: user=..,item=..,time=..,rating=..; own photos: id=..,category=..,"
            "image=..,title=..,attributes=color+season.",
        ),
    ] = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    min_rating: Annotated[float, typer.Option(min=0, help="Drop rows rated lower.")] = 0.0,
    min_item: Annotated[int, typer.Option(min=1, help="Drop items with fewer rows.")] = 5,
    min_user: Annotated[int, typer.Option(min=1, help="Then drop users with fewer rows.")] = 5,
    core: Annotated[
        bool, typer.Option("--core", help="Repeat these two until nothing changes.")
    ] = False,
    min_length: Annotated[int, typer.Option(min=1, help="At last, drop shorter users.")] = 3,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write figures (SVG, PNG) here.")
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Describe a data set: sizes, lengths, popularity, genres, years, what the filters dropped.

    Of photos: categories, attributes, sizes of images, repeats, what was skipped, a sample sheet.
    """
    from recsec.data import Filters, is_photos

    filters = Filters(
        min_rating=min_rating,
        min_item=min_item,
        min_user=min_user,
        core=core,
        min_length=min_length,
    )
    describe = describe_photos if is_photos(name) else describe_interactions
    chosen, dialect = parse_columns(columns) or None, dialect_of_tables()
    found = describe(name, source, chosen, dialect, filters)
    summary = dict(found.summary)
    if out is not None:
        paths = found.draw(out)
        summary["figures"] = [str(path) for path in paths]
        note(f"{len(paths)} figures in {out}")
    emit(summary, found.show, json=json)


app.command("fetch")(fetch)
app.command("synthetic")(make_synthetic)
app.command("traffic")(make_traffic)

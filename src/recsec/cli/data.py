"""``recsec data``: get, describe and make data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from recsec.cli.sequential.traffic import make_traffic
from recsec.cli.shared.answering import plain_table
from recsec.cli.shared.common import JsonOption, QuietOption, SeedOption, parse_columns
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.visual.data import counted, describe_photos, name_table, percent

if TYPE_CHECKING:
    from recsec.data import Analysis, Receipt

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
        where = "mirror" if mirrored(known) else "cache" if read_receipt(known) else None
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
    from recsec.data import Filters, analyze, is_photos, load

    filters = Filters(
        min_rating=min_rating,
        min_item=min_item,
        min_user=min_user,
        core=core,
        min_length=min_length,
    )
    chosen = parse_columns(columns) or None
    if is_photos(name):
        describe_photos(name, source, chosen, filters, out, json=json)
        return
    dataset = load(name, source=source, columns=chosen, filters=filters)
    analysis = analyze(dataset)
    summary = dict(analysis.summary)
    if out is not None:
        from recsec.reports.figures.data import draw

        paths = draw(analysis, out)
        summary["figures"] = [str(path) for path in paths]
        note(f"{len(paths)} figures in {out}")
    emit(summary, lambda console: _show_analysis(console, analysis), json=json)


Form = Callable[[Any], str]


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _ratio(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}"


def _year(value: Any) -> str:
    return "-" if value is None else f"{value:.0f}"


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


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


def _show_analysis(console: Console, analysis: Analysis) -> None:
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

    top = plain_table("Top 20 items", ["id", "title", "rows"], left=2)
    for row in analysis.top.iter_rows(named=True):
        top.add_row(Text(str(row["id"])), Text(row["title"]), counted(row["rows"]))
    console.print(top)
    for said in summary["notes"]:
        console.print(Text(f"Note: {said}."))


@app.command("synthetic")
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


app.command("traffic")(make_traffic)

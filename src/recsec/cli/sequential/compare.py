"""``recsec compare``: recommenders side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsec.cli.sequential.answering import genre_line
from recsec.cli.shared.common import (
    SOURCES,
    AuthorisedOption,
    ColumnsOption,
    DataOption,
    DropBadOption,
    GuardOption,
    JsonOption,
    QuietOption,
    SeedOption,
    SepOption,
    TimeFormatOption,
    UsersOption,
)
from recsec.cli.shared.output import emit, note, note_synthetic, progress
from recsec.cli.shared.reading import CatalogOption, FiltersOption, open_data, told_name
from recsec.cli.shared.tables import group_table, interval, plain_table
from recsec.errors import UsageError
from recsec.library.opening import open_guarded, open_source, sample_users
from recsec.settings import parse_guards

if TYPE_CHECKING:
    from recsec.data import Catalog, Split
    from recsec.evaluation import Change, Comparison, GroupRow, SideBySide, Variant
    from recsec.models.base import Recommender
    from recsec.stats import Estimate
    from recsec.types import Answerer, IntArray

__all__ = ["run"]

QUALITY = {
    "hr@10": "HR@10",
    "ndcg@10": "NDCG@10",
    "coverage@10": "coverage",
    "popularity_bias@10": "popularity\nbias",
    "genre_consistency@10": "genre\nconsistency",
}
GROUP_COLUMNS = {"hr@10": "HR@10 change", "gain": "gain", "lose": "lose", "agr@10": "Agr@10"}


def run(
    model: Annotated[
        list[str],
        typer.Option(
            "--model", metavar="MODEL", help=f"A recommender: {SOURCES}; give two or more."
        ),
    ],
    data: DataOption = None,
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
    history: Annotated[
        list[str] | None,
        typer.Option(
            "--history", metavar="IDS", help="Item ids with commas between, oldest first."
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="ID", help="A user of the data: their known history."),
    ] = None,
    genre_bias: Annotated[
        float,
        typer.Option("--genre-bias", metavar="W", help="Also compare with this bias; 0: without."),
    ] = 0.3,
    k: Annotated[
        int, typer.Option("--k", min=1, help="Length of the lists over the test set.")
    ] = 20,
    users: UsersOption = None,
    guard: GuardOption = None,
    seed: SeedOption = 0,
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Set recommenders side by side.

    On histories that you give and on four taste profiles made from the catalog: lists, overlap,
    genres. Over the test set: fidelity, HR, and what changes for whom, with and without genre bias.
    The first model is the one that the others are compared with. --guard adds it once more, as it
    answers through the guards.
    """
    from recsec.evaluation import compare, taste_profiles
    from recsec.rng import Streams

    guards = parse_guards(guard)
    if len(model) < (1 if guards else 2):
        raise UsageError("compare needs two models or more", hint="repeat --model, or add --guard")
    streams = Streams(seed).child("compare")
    dataset = open_data(data, columns, model=model[0])
    split = dataset.split()
    sources: dict[str, Recommender | Answerer] = {}
    for name, spec in zip(labels(model), model, strict=True):
        sources[name], _ = open_source(spec, dataset, authorised=authorised)
        if guards and len(sources) == 1:
            guarded = " + ".join([name, *(table["name"] for table in guards)])
            sources[guarded] = open_guarded(spec, guards, dataset, authorised=authorised)
    profiles = taste_profiles(split.catalog, split.train.counts)
    histories = {profile.name: profile.history for profile in profiles}
    histories |= _given(split, history or [], user or [])
    if genre_bias and not split.catalog.genre_names:
        note("the items have no genres: no taste profiles and no genre bias")
    with progress() as report:
        found = compare(
            sources,
            split,
            histories=histories,
            streams=streams,
            genre_bias=genre_bias,
            users=sample_users(split, users, streams.numpy("users")),
            depth=k,
            progress=report,
        )
    result = {
        "protocol": found.protocol,
        "data": told_name(data, dataset),
        "synthetic": dataset.synthetic,
        **found.changes[0].fidelity,
        **_to_json(found, split.catalog),
    }
    emit(result, lambda out: _render(out, found, split.catalog), json=json)
    note_synthetic(dataset.synthetic)


def labels(specs: Sequence[str]) -> list[str]:
    """Short distinct names: the last part of a path where that is enough.

    >>> labels(["runs/sasrec", "runs/markov/", "old/markov", "callable:shop:answer"])
    ['sasrec', 'runs/markov/', 'old/markov', 'callable:shop:answer']
    """
    short = [spec if ":" in spec else Path(spec).name or spec for spec in specs]
    often = Counter(short)
    names = [name if often[name] == 1 else spec for name, spec in zip(short, specs, strict=True)]
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out


def _given(split: Split, ids: Sequence[str], users: Sequence[str]) -> dict[str, IntArray]:
    """The histories that the user of the command named.

    Raises:
        DataError: an id that is not in the catalog.
        UsageError: a user who is not in the data.
    """
    catalog = split.catalog
    found = {}
    for text in ids:
        items = [catalog.parse_id(part.strip()) for part in text.split(",") if part.strip()]
        found[f"history {text}"] = catalog.index(items)
    known = {str(name): number for number, name in enumerate(split.full.users.tolist())}
    for name in users:
        if name not in known:
            raise UsageError(f"no user {name!r} among the {len(known)} of the data")
        found[f"user {name}"] = split.history("test", known[name])
    return found


def _named(variant: Variant) -> dict[str, Any]:
    return {"model": variant.model, "genre_bias": variant.genre_bias}


def _to_json(found: Comparison, catalog: Catalog) -> dict[str, Any]:
    """Lists of flat objects, with external ids."""
    from recsec.evaluation.session import item_json

    def items(indices: IntArray) -> list[dict[str, Any]]:
        return [item_json(catalog, int(item)) for item in indices if item > 0]

    return {
        "models": [{**_named(variant), **values} for variant, values in found.quality.items()],
        "changes": [
            {
                "before": _named(change.before),
                "after": _named(change.after),
                **change.fidelity,
                "groups": change.groups,
            }
            for change in found.changes
        ],
        "histories": [
            {
                "name": side.name,
                "history": items(side.history),
                "lists": [{**_named(v), "items": items(row)} for v, row in side.lists.items()],
                "shared": [
                    {"a": _named(a), "b": _named(b), "value": value}
                    for (a, b), value in side.shared.items()
                ],
            }
            for side in found.histories
        ],
    }


def _render(out: Console, found: Comparison, catalog: Catalog) -> None:
    """The tables."""
    names = [name for name in QUALITY if all(name in row for row in found.quality.values())]
    table = plain_table("Quality", ["", *(QUALITY[name] for name in names)])
    for variant, row in found.quality.items():
        cells = [
            interval(row[name], digits=3) if name == "hr@10" else f"{row[name].value:.3f}"
            for name in names
        ]
        table.add_row(Text(str(variant)), *cells)
    out.print(table)
    table = plain_table("Fidelity of their lists", ["", *found.changes[0].fidelity])
    for change in found.changes:
        title = Text(f"{change.before} to {change.after}")
        table.add_row(title, *(f"{value.value:.3f}" for value in change.fidelity.values()))
    out.print(table)
    for at, change in enumerate(found.changes):
        out.print(_change_table(change, whole=at == 0))
    for side in found.histories:
        _render_side(out, side, catalog)
    out.print(found.protocol)


def _moved(row: GroupRow) -> bool:
    """Whether the change of HR@10 is more than chance makes."""
    change = row.metrics.get("hr@10")
    if change is None or change.low is None or change.high is None:
        return False
    return change.low > 0 or change.high < 0


def _change_table(change: Change, *, whole: bool) -> Table:
    """Who gains and who loses; all groups, or those whose interval leaves out 0."""

    def cell(name: str, value: Estimate) -> Text | str:
        signed = interval(value, digits=3, sign=True)
        return signed if name == "hr@10" else f"{value.value:.3f}"

    title = f"For whom: {change.before} to {change.after}"
    title += "" if whole else " (groups beyond chance; --json has all)"
    rows = [row for row in change.groups if whole or row.by == "all" or _moved(row)]
    return group_table(title, rows, GROUP_COLUMNS, cell)


def _render_side(out: Console, side: SideBySide, catalog: Catalog) -> None:
    """Titles side by side, one table per bias; items that all models name are marked."""
    titles = "; ".join(catalog.title(int(item)) for item in side.history[-5:])
    out.print(Text(f"\nAfter {side.name}", style="bold"))
    out.print(f"{len(side.history)} items, newest: {titles}")
    for bias in sorted({variant.genre_bias for variant in side.lists}):
        variants = [variant for variant in side.lists if variant.genre_bias == bias]
        common = set.intersection(*(set(side.lists[v].tolist()) for v in variants)) - {0}
        title = f"With genre bias {bias:g}" if bias else "As they are"
        title += f": {len(common)} of {len(side.lists[variants[0]])} in all lists (*)"
        table = plain_table(title, [v.model for v in variants], left=len(variants))
        table.expand = True
        for column in table.columns:
            column.no_wrap, column.overflow, column.ratio = True, "ellipsis", 1
        for row in zip(*(side.lists[v].tolist() for v in variants), strict=True):
            table.add_row(
                *(
                    Text(f"{'*' if item in common else ' '} {catalog.title(item)}" if item else "")
                    for item in row
                )
            )
        table.add_section()
        table.add_row(*(Text(genre_line(catalog, side.lists[v].tolist())) for v in variants))
        out.print(table)

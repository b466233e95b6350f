"""``recsec target check``: does a source work, and for which commands?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.sequential.answering import note_unknown, unknown_json
from recsec.cli.shared.common import (
    SOURCES,
    AuthorisedOption,
    ColumnsOption,
    DataOption,
    DropBadOption,
    JsonOption,
    QuietOption,
    SepOption,
    TimeFormatOption,
)
from recsec.cli.shared.output import emit, note
from recsec.cli.shared.reading import CatalogOption, FiltersOption, open_data, told_name
from recsec.sources import CAPABILITIES, SAID

if TYPE_CHECKING:
    from recsec.library.checking import CheckedSource

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

SHOWN = 5
"""Ids at the end of a history and at the beginning of a list that are shown."""


@app.callback()
def target() -> None:
    """Look at a recommender of yours before an audit spends calls on it."""


@app.command("check")
def check(
    spec: Annotated[str, typer.Argument(metavar="MODEL", help=f"The recommender: {SOURCES}.")],
    data: DataOption = None,
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Length of the lists.")] = 10,
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Open a recommender, ask a few questions, and say which commands will work with it.

    Shows what was sent, what was understood of the answers and how long they took. 27 calls; exit
    code 3 where it fails, does not repeat itself, or does not look at the history.
    """
    from recsec.library.checking import check_source

    dataset = open_data(data, columns, model=spec)
    found = check_source(spec, dataset, k=k, authorised=authorised)
    result: dict[str, Any] = {
        "model": spec,
        "data": told_name(data, dataset),
        "kind": found.kind,
        "gives": [one for one in CAPABILITIES if one in found.gives],
        "calls": found.calls,
        "k": k,
        "lengths": [found.shortest, found.longest],
        "ordered": found.ordered,
        "own_history": found.own_history,
        "questions": [vars(one) for one in found.questions],
        "defects": list(found.defects),
        "unknown_ids": unknown_json(found.unknown),
        "commands": found.lacks,
    }
    emit(result, lambda out: _render(out, found), json=json)
    for defect in found.defects:
        note(f"warning: {defect}")
    note_unknown(found.unknown)


def _render(out: Console, found: CheckedSource) -> None:
    said = ", ".join(SAID[one] for one in CAPABILITIES if one in found.gives)
    out.print(f"{found.kind}: gives {said}", soft_wrap=True)
    for one in found.questions:
        sent = ", ".join(map(str, one.sent[-SHOWN:]))
        got = ", ".join(map(str, one.answered[:SHOWN]))
        more = "..., " if len(one.sent) > SHOWN else ""
        rest = ", ..." if len(one.answered) > SHOWN else ""
        out.print(
            f"sent [{more}{sent}] -> [{got}{rest}], {len(one.answered)} items, "
            f"{one.seconds * 1000:.1f} ms",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    lengths = sorted({found.shortest, found.longest})
    order = "is" if found.ordered else "is not"
    out.print(
        f"{found.calls} calls; repeats itself; lists of {' to '.join(map(str, lengths))} items; a "
        f"shorter list {order} the beginning of a longer one; {found.own_history:.1%} of the items "
        "are the history's own",
        soft_wrap=True,
        highlight=False,
    )
    works = [words for words, missing in found.lacks.items() if not missing]
    out.print(f"works with: {', '.join(works)}", soft_wrap=True, highlight=False)
    for words, missing in found.lacks.items():
        if missing:
            needed = " and ".join(SAID[one] for one in missing)
            out.print(f"not with {words}: it needs {needed}", soft_wrap=True, highlight=False)

"""``recsec recommend``: a session with a recommender, for a person or for a script."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from recsec.cli.sequential.answering import items_table
from recsec.cli.shared.common import (
    AuthorisedOption,
    ColumnsOption,
    DropBadOption,
    JsonOption,
    ModelOption,
    QuietOption,
    SepOption,
    TimeFormatOption,
)
from recsec.cli.shared.output import console, note, say, write_json
from recsec.cli.shared.reading import CatalogOption, FiltersOption, open_data
from recsec.library.opening import open_source, popular_at_first
from recsec.sources import is_folder

if TYPE_CHECKING:
    from recsec.data import Catalog
    from recsec.evaluation import Reply

__all__ = ["run"]

PROMPT = "recsec> "


def run(
    model: ModelOption,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME",
            help="Where popular counts; needed for a callable or an HTTP target. Left out, a "
            "checkpoint's own.",
        ),
    ] = None,
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Length of the lists.")] = 10,
    genre_bias: Annotated[
        float,
        typer.Option(
            "--genre-bias", metavar="W", help="0 the model's order, 1 the genres of the history."
        ),
    ] = 0.0,
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Try a recommender in an interactive session.

    Commands: search, add, remove, clear, recommend, show, popular, help, exit. They are read from
    the keyboard or, line by line, from stdin; with --json every command gives one line of JSON.
    """
    from recsec.evaluation import Session, as_answerer
    from recsec.evaluation.answers import check_catalog
    from recsec.models import recall
    from recsec.models.sequential.rerank import with_genre_bias

    known = data is not None or (is_folder(model) and recall(Path(model).expanduser()) is not None)
    dataset = open_data(data, columns, model=model) if known else None
    source, items = open_source(model, dataset, authorised=authorised)
    counts = None
    if dataset is not None:
        split = dataset.split()
        check_catalog(source, split)
        counts = split.full.counts
    answer = as_answerer(source)
    if counts is not None:
        answer = popular_at_first(answer, counts)
    if genre_bias:
        answer = with_genre_bias(answer, items, weight=genre_bias)
        if not items.genre_names:
            note("the items have no genres: --genre-bias changes nothing")
    session = Session(answer, items, counts=counts, k=k)
    person = sys.stdin.isatty()
    if person:
        note(f"{len(items)} items. help shows the commands, exit leaves.")
    out = console()
    for line in _typed() if person else _piped():
        reply = session.run(line)
        if reply is None:
            continue
        if json:
            write_json(reply.to_json(items), ensure_ascii=False)
        else:
            _render(out, reply, items)
        sys.stdout.flush()
        if reply.done:
            break


def _piped() -> Iterator[str]:
    """Lines of a script; undecodable bytes become replacement characters."""
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    yield from sys.stdin


def _typed() -> Iterator[str]:
    """Lines of a person, with recall where readline exists.

    Ctrl-D ends; Ctrl-C cancels the line, and twice in a row ends with exit code 130.
    """
    try:
        import readline  # noqa: F401 - importing it is what gives input() its recall
    except ImportError:
        note("no readline on this system: earlier lines cannot be recalled")
    canceled = False
    while True:
        try:
            line = input(PROMPT)
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            if canceled:
                raise
            canceled = True
            sys.stdout.write("\n")
            continue
        canceled = False
        yield line


def _render(out: Console, reply: Reply, catalog: Catalog) -> None:
    """A table of items and a line; a wrong command as one line on stderr."""
    if not reply.ok:
        say(reply.message, label="error")
        return
    if reply.items:
        out.print(items_table(catalog, reply.items))
    if reply.message:
        out.print(reply.message, soft_wrap=True)

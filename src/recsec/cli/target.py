"""``recsec target``: does a source work, and for which commands? A target file from an example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from recsec.cli.sequential.target import check_sequences
from recsec.cli.shared.common import (
    SOURCES,
    AuthorisedOption,
    ColumnsOption,
    DropBadOption,
    JsonOption,
    QuietOption,
    SepOption,
    TimeFormatOption,
)
from recsec.cli.shared.output import emit
from recsec.cli.shared.reading import CatalogOption, FiltersOption, KnownDataOption
from recsec.cli.visual.opening import refuse_columns
from recsec.cli.visual.target import check_encoder
from recsec.sources import offered

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def target() -> None:
    """Look at a recommender of yours before an audit spends calls on it."""


@app.command("check")
def check(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help=f"The recommender: {SOURCES}. With photos an encoder or a visual search: "
            f"{offered('evasion')}.",
        ),
    ],
    data: KnownDataOption = None,
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

    Shows what was sent, what was understood of the answers and how long they took. 27 calls, or 7
    uploads to a visual search; exit code 3 where it fails, does not repeat itself, or does not look
    at the history or photo.
    """
    from recsec.data import is_photos

    if data is not None and is_photos(data):
        refuse_columns(columns)
        check_encoder(spec, data, authorised=authorised, json=json)
    else:
        check_sequences(spec, data, columns=columns, k=k, authorised=authorised, json=json)


@app.command("import")
def import_(
    curl: Annotated[
        str | None,
        typer.Option(
            "--curl", metavar="COMMAND|FILE", help="A curl command, or a file that holds it."
        ),
    ] = None,
    openapi: Annotated[
        str | None,
        typer.Option("--openapi", metavar="FILE|URL", help="An OpenAPI description, with --path."),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option("--path", help="Of the description: /recommend, or its whole address."),
    ] = None,
    response: Annotated[
        str | None,
        typer.Option("--response", help="JSONPath to the list of ids, or to each: $.results[*].id"),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The file to write.")] = Path("target.toml"),
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the file of a target from a curl command or an OpenAPI description; nothing is run.

    Says what was taken for the history, the list length and the account. Who knows better writes
    {history}, {k} or {account} into the command. A secret is not written: the file names an
    environment variable. Then: recsec target check FILE --data NAME.
    """
    from recsec.library.importing import import_target

    found = import_target(
        curl=curl, openapi=openapi, path=path, response=response, out=out, authorised=authorised
    )
    result = {"file": str(out), "toml": found.text, "notes": list(found.notes)}

    def render(console: Console) -> None:
        console.print(found.text, soft_wrap=True, highlight=False, markup=False)
        for one in found.notes:
            console.print(one, soft_wrap=True, highlight=False, markup=False)
        console.print(f"written to {out}", soft_wrap=True, highlight=False, markup=False)

    emit(result, render, json=json)

"""``recsec try``: a local page to try recommenders by hand."""

from __future__ import annotations

import sys
import webbrowser
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsec.cli.sequential.compare import labels
from recsec.cli.shared.common import (
    INTERACTIONS,
    PHOTOS,
    SOURCES,
    AuthorisedOption,
    ColumnsOption,
    DeviceOption,
    DropBadOption,
    GuardOption,
    JsonOption,
    QuietOption,
    SepOption,
    TimeFormatOption,
)
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.shared.reading import CatalogOption, FiltersOption, open_data
from recsec.cli.visual.opening import refuse_columns
from recsec.errors import ConfigError, UsageError
from recsec.sources import offered, refuse_source

if TYPE_CHECKING:
    from recsec.trying import ListBench, PhotoBench

__all__ = ["run"]


def run(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help=f"{SOURCES}. With photos an encoder: {offered('evasion', ['embeddings'])}.",
        ),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="MODEL",
            help="Another one beside it: hardened, a copy; repeatable.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME", help=f"{INTERACTIONS} Or photos: {PHOTOS}"),
    ] = None,
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
    guard: GuardOption = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0: a free port.")
    ] = 0,
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Open a browser, if this is a terminal."),
    ] = True,
    device: DeviceOption = "auto",
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Try recommenders by hand, on a page of this machine.

    Without options on small made-up data that is trained in seconds and kept in the cache: lists
    of a recommender, of the same behind a guard and of its copy for a history that you build; and
    attacks on product photos that you watch while they run. With --model, --compare and --data on
    yours. The page is served on loopback only, asks nothing of the network, and keeps nothing of
    what you do. Ctrl-C ends it, with exit code 0; before the page is there, with 130.
    """
    lists, photos = _benches(model, compare or [], data, columns, guard, device, authorised)
    from recsec.trying import application, listen, serve

    opened, at = listen(port)
    app = application(lists, photos, port=at)
    result = {"url": f"http://127.0.0.1:{at}/", "synthetic": model is None}
    emit(result, lambda out: out.print(result["url"], soft_wrap=True), json=json)
    note("Ctrl-C ends it")
    if browser and sys.stdout.isatty():
        webbrowser.open(str(result["url"]))
    serve(app, opened)


def _benches(
    model: str | None,
    compare: list[str],
    data: str | None,
    columns: str | None,
    guard: list[str] | None,
    device: str,
    authorised: bool,
) -> tuple[ListBench | None, PhotoBench | None]:
    """What there is to try.

    Raises:
        UsageError: half of what it takes.
        ConfigError: the libraries of the page are not installed.
    """
    from recsec.data import is_photos
    from recsec.settings import parse_guards

    guards = parse_guards(guard)
    if model is None and (data or compare or guards or columns):
        raise UsageError(
            "try takes --model with these, or none of them",
            hint="recsec try --model DIR --data NAME",
        )
    _need_libraries()
    from recsec.trying import opening, sample_lists, sample_photos

    with progress() as report:
        if model is None:
            note("Made-up data and models, trained here; kept in the cache for the next time.")
            return sample_lists(report), sample_photos(report)
        specs = [model, *compare]
        named = dict(zip(labels(specs), specs, strict=True))
        if data is not None and is_photos(data):
            refuse_columns(columns)
            for spec in specs:
                refuse_source("try photos", spec)
            if guards:
                raise UsageError("--guard is about lists; the data are photos")
            return None, opening.open_pictures(named, data, device=device, progress=report)
        found: Any = open_data(data, columns, model=model)
        return opening.open_lists(named, found, guards=guards, authorised=authorised), None


def _need_libraries() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"the page needs the library {error.name}, which is not installed",
            hint='pip install "recsec[serve]"',
        ) from error

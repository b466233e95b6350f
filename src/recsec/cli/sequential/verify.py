"""``recsec verify``: is a suspect a copy of the owner's guarded recommender?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

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
from recsec.cli.shared.output import emit, note, note_synthetic, progress
from recsec.cli.shared.reading import CatalogOption, FiltersOption, open_data
from recsec.cli.shared.tables import interval, plain_table
from recsec.errors import UsageError

if TYPE_CHECKING:
    from recsec.ownership import Proof

__all__ = ["app", "keygen", "verify"]

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def verify(
    context: typer.Context,
    suspect: Annotated[
        str | None,
        typer.Option(
            "--suspect",
            metavar="MODEL",
            help=f"Whom to test: {SOURCES}.",
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The owner's key file.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME", help="The owner's data set: recsec data list."),
    ] = None,
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
    control: Annotated[
        list[str] | None,
        typer.Option(
            "--control",
            metavar="MODEL",
            help=f"A model that is no copy of yours, tested too, for scale: {SOURCES}; repeatable.",
        ),
    ] = None,
    queries: Annotated[
        int, typer.Option("--queries", min=20, metavar="N", help="Questions to the suspect.")
    ] = 1500,
    k: Annotated[int, typer.Option("--k", min=1, help="List length asked for.")] = 10,
    keys: Annotated[
        int, typer.Option("--keys", min=9999, metavar="R", help="Other keys to compare with.")
    ] = 9999,
    alpha: Annotated[
        float,
        typer.Option("--alpha", min=1e-6, max=0.05, help="Level below which it counts as copied."),
    ] = 0.001,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws questions and keys.")] = 0,
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback on errors.")] = False,
) -> None:
    """Test whether a suspect was copied from your guarded recommender.

    Only the suspect's answers are used. They are searched for the marks that the watermark guard
    put into yours: the p-value is exact, by comparison with thousands of other keys on the same
    answers. Exit code 0 whatever the verdict.
    """
    if context.invoked_subcommand is not None:
        return
    missing = [
        name
        for name, value in (("--suspect", suspect), ("--key", key), ("--data", data))
        if value is None
    ]
    if suspect is None or key is None or data is None:
        raise UsageError(f"verify needs {', '.join(missing)}", hint="recsec verify --help")
    from recsec.library.verify import verify as test

    dataset = open_data(data, columns)
    with progress() as report:
        tested = test(
            suspect,
            key,
            dataset,
            controls=control or [],
            queries=queries,
            k=k,
            keys=keys,
            alpha=alpha,
            seed=seed,
            authorised=authorised,
            progress=report,
        )
    found, proof = tested.proofs, tested.proof
    result: dict[str, Any] = {
        "suspect": suspect,
        "data": data,
        "synthetic": dataset.synthetic,
        "key": tested.fingerprint,
        **proof.to_json(),
        "controls": {spec: found[spec].to_json() for spec in control or [] if spec != suspect},
    }
    emit(result, lambda out: _render(out, found, suspect), json=json)
    for spec, each in found.items():
        if each.unanswered:
            note(
                f"{spec}: {each.unanswered} of {each.queries} questions brought no usable list and "
                f"were left out; the first: {each.reason}"
            )
        if each.shorter:
            note(f"{spec}: {each.shorter} lists hold fewer than {each.k} items of the catalog")
    note_synthetic(dataset.synthetic)


@app.command()
def keygen(
    out: Annotated[Path, typer.Option("--out", metavar="KEY", help="Where to write the key.")],
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw a secret key for the watermark guard.

    The file is for its owner's eyes only (mode 0600) and is never overwritten. Deposit the printed
    fingerprint with somebody you trust: it shows later that the key was not made to fit a suspect.
    """
    from recsec.targets.guards import fingerprint, write_key

    path = out.expanduser()
    name = fingerprint(write_key(path))

    def render(console: Console) -> None:
        console.print(f"key: {path}", soft_wrap=True)
        console.print(f"fingerprint: {name}")

    emit({"key": str(path), "fingerprint": name}, render, json=json)


def _render(out: Console, found: dict[str, Proof], suspect: str) -> None:
    """Verdict first, then what it rests on."""
    proof = found[suspect]
    found_that = (
        f": p = {proof.p_value:.4g} (copied if at most {proof.alpha:g}), "
        f"{proof.queries} queries, lists of {proof.k}, {proof.keys} other keys"
    )
    out.print(Text.assemble((proof.verdict, "bold"), found_that))
    table = plain_table("What carries the mark", ["", "p", "effect", "green p", "replies p"])
    for spec, each in found.items():
        table.add_row(
            spec if spec == suspect else f"control {spec}",
            f"{each.p_value:.4g}",
            interval(each.effect, sign=True),
            f"{each.green.p_value:.4g}",
            "-" if each.replies is None else f"{each.replies.p_value:.4g}",
        )
    out.print(table)
    table = plain_table("Evidence", ["queries", "p"], left=0)
    for point in proof.curve:
        table.add_row(str(point.queries), f"{point.p_value:.4g}")
    out.print(table)
    out.print(
        "effect: share of green items in the lists, beyond the half that any other key finds; "
        "its interval covers users.",
        soft_wrap=True,
    )

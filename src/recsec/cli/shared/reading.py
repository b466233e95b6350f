"""Which data a command reads, and how: the options beside ``--data``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from recsec.cli.shared.common import (
    INTERACTIONS,
    PHOTOS,
    about_table,
    misread,
    parse_columns,
    table_words,
)
from recsec.cli.shared.output import note, settings
from recsec.errors import UsageError
from recsec.settings import checked, parse_words

if TYPE_CHECKING:
    from recsec.data import Dataset, Reading

__all__ = [
    "CatalogOption",
    "FiltersOption",
    "KnownDataOption",
    "open_data",
    "reading_of_options",
    "told_name",
]

KnownDataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="NAME",
        help=f"{INTERACTIONS} Or photos: {PHOTOS} Left out, the interactions that a checkpoint was "
        "trained on.",
    ),
]
FiltersOption = Annotated[
    str | None,
    typer.Option(
        "--filters",
        metavar="KEY=N,..",
        callback=about_table,
        help="Which interactions count: min_item=5,min_user=5,min_length=3,min_rating=0,"
        "core=false,repeats=drop.",
    ),
]
CatalogOption = Annotated[
    str | None,
    typer.Option(
        "--catalog",
        metavar="FILE",
        callback=about_table,
        help="A table of your items: id, and title, genres (| between), year where there are.",
    ),
]


def reading_of_options(columns: str | None) -> Reading:
    """What the options about data say: columns, the look of a table, filters, a catalog.

    Raises:
        UsageError: ``--columns`` is not ``ours=theirs,ours=theirs``.
        ConfigError: a value does not fit.
    """
    from recsec.data import Filters, Reading

    said: dict[str, Any] = {**settings().table, "columns": parse_columns(columns)}
    if "filters" in said:
        words = parse_words(said["filters"], where="--filters")
        said["filters"] = checked(Filters, words, where="--filters")
    try:
        return Reading.model_validate(said)
    except ValidationError as error:
        raise misread(error) from error


def open_data(name: str | None, columns: str | None = None, *, model: str | None = None) -> Dataset:
    """The data set that ``--data`` and the options beside it name; says which rows were left out.

    Args:
        name: what ``--data`` says.
        columns: what ``--columns`` says.
        model: the source whose own data stand in where there is no ``--data``.

    Raises:
        UsageError: ``--columns`` is not ``ours=theirs,ours=theirs``, or no data are known.
        ConfigError: ``--sep`` or ``--time-format`` does not fit.
        DataError: missing, broken or empty data; those of a checkpoint also if they changed.
    """
    from recsec.data import load_as

    reading = reading_of_options(columns)
    if name is None and model is not None:
        from recsec.library.opening import data_of

        if reading.said():
            raise UsageError(
                f"{table_words(columns)[0]} is about --data, which is left out",
                hint="add --data NAME",
            )
        found = data_of(model)
        note(f"data: {found.origin.name if found.origin else found.name}, as {model} remembers it")
    else:
        found = load_as(str(name), reading)
    for text in (*found.report.left_out, *found.report.undescribed):
        note(text)
    return found


def told_name(name: str | None, found: Dataset) -> str:
    """What results call the data: what ``--data`` says, else where they were found."""
    return name or (found.name if found.origin is None else found.origin.name)

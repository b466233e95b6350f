"""Options that many commands share, and how a command opens what they name."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from recsec.cli.shared.output import configure, settings
from recsec.errors import ConfigError, UsageError
from recsec.settings import parse_settings
from recsec.sources import offered

if TYPE_CHECKING:
    from recsec.data import Dialect

__all__ = [
    "SOURCES",
    "AnswersOfOption",
    "AnyDataOption",
    "AnyModelOption",
    "AuthorisedOption",
    "CheckpointOption",
    "ColumnsOption",
    "ConfigOption",
    "DataOption",
    "DeviceOption",
    "DropBadOption",
    "EncoderOption",
    "GuardOption",
    "JsonOption",
    "LawOption",
    "ModelOption",
    "OutOption",
    "PhotosOption",
    "PrecisionOption",
    "QuietOption",
    "SameAnswersOption",
    "SearchedOption",
    "SeedOption",
    "SepOption",
    "SetOption",
    "TimeFormatOption",
    "UsersOption",
    "about_table",
    "build_config",
    "dialect_of_tables",
    "fit_config",
    "given_settings",
    "misread",
    "parse_columns",
    "read_toml",
    "table_words",
]

Config = TypeVar("Config", bound=BaseModel)


def _json(value: bool) -> bool:
    configure(json=value)
    return value


def about_table(context: typer.Context, option: typer.CallbackParam, value: Any) -> Any:
    """Keep what an option says about the user's tables."""
    if value and option.name is not None:
        configure(table={**settings().table, option.name: value})
    return value


def _quiet(value: bool) -> bool:
    configure(quiet=value)
    return value


SOURCES = offered("extraction")
"""The kinds of recommenders that a command for lists opens, as its help names them."""

INTERACTIONS = (
    "A known data set (recsec data list), synthetic:users=500,items=200, or a table of yours: "
    "CSV, JSON Lines, Parquet, a folder of parts."
)
PHOTOS = "fashion, photos:items=600 (made up), or a folder or zip of images."

ModelOption = Annotated[
    str,
    typer.Option("--model", metavar="MODEL", help=f"The recommender: {SOURCES}."),
]
AnyModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help=f"The recommender: {SOURCES}. With photos an encoder: "
        f"{offered('evasion', ['embeddings'])}.",
    ),
]
CheckpointOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="DIR",
        help=f"From recsec train: {offered('extraction', ['weights'])}, or with photos "
        f"{offered('evasion', ['weights'])}.",
    ),
]
SearchedOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="DIR|hf:|torch:|onnx:|callable:|FILE.toml|URL",
        help=f"An encoder or a visual search: {offered('evasion')}.",
    ),
]
EncoderOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="DIR|hf:|torch:|onnx:|callable:|FILE.toml",
        help=f"An encoder: {offered('evasion', ['embeddings'])}.",
    ),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="NAME",
        help=f"{INTERACTIONS} Left out, a checkpoint's own: what it was trained on.",
    ),
]
PhotosOption = Annotated[str, typer.Option("--data", metavar="NAME", help=f"Photos: {PHOTOS}")]
AnyDataOption = Annotated[
    str, typer.Option("--data", metavar="NAME", help=f"{INTERACTIONS} Or photos: {PHOTOS}")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="user=U,item=I,time=T",
        help="Your table's names for these columns, where they differ.",
    ),
]
SepOption = Annotated[
    str | None,
    typer.Option(
        "--sep",
        metavar="CHAR",
        callback=about_table,
        help="Separator of your table: ; or tab; recognized by itself if not given.",
    ),
]
TimeFormatOption = Annotated[
    str | None,
    typer.Option(
        "--time-format",
        metavar="FORMAT",
        callback=about_table,
        help="Times in your table: s, ms, us, ns, or a pattern such as %d/%m/%Y %H:%M.",
    ),
]
DropBadOption = Annotated[
    bool,
    typer.Option(
        "--drop-bad",
        callback=about_table,
        help="Leave out rows of your table that do not fit, and count them.",
    ),
]
OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Folder to write to; interrupted, the same command continues there.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", metavar="DEVICE", help="Where to compute: cpu, cuda, cuda:1, mps or auto."
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(
        "--precision", help="Number format of matrix products; auto: bfloat16 where it is fast."
    ),
]
LawOption = Annotated[
    str,
    typer.Option(
        "--law",
        metavar="FILE",
        help="How people choose from lists: trivago, or what recsec traffic fit wrote.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A setting, as recsec list shows them; repeatable."
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings as TOML; --set wins over it."),
]
GuardOption = Annotated[
    list[str] | None,
    typer.Option(
        "--guard",
        metavar="NAME:KEY=VALUE",
        help="Answer through a guard (recsec list guards). Some need scores, and say so. "
        "Settings with commas between; repeatable: guards act in the order given.",
    ),
]
AuthorisedOption = Annotated[
    bool,
    typer.Option(
        "--i-am-authorised",
        help="Confirm that the owner of a target on another machine agreed to be queried.",
    ),
]
UsersOption = Annotated[
    int | None,
    typer.Option(
        "--users",
        min=1,
        metavar="N",
        help="Measure on N users drawn with the seed, not on all: for a target that costs.",
    ),
]
AnswersOfOption = Annotated[
    Path | None,
    typer.Option(
        "--answers-of",
        metavar="RUN",
        help="Reuse the answers that another run got to the same questions.",
    ),
]
SameAnswersOption = Annotated[
    bool,
    typer.Option(
        "--same-answers",
        help="The target's code or file changed since the run was begun, its answers did not: "
        "recorded calls are asked again.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", is_eager=True, callback=_json, help="Print one JSON object to stdout."),
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", is_eager=True, callback=_quiet, help="Print results and errors only."
    ),
]


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        ConfigError: the file is missing or is not TOML; the message names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def fit_config(config_class: type[Config], values: dict[str, Any], *, where: str) -> Config:
    """``values`` as a configuration.

    Args:
        where: what to call the source of the values in a message, such as ``"settings of sasrec"``.

    Raises:
        ConfigError: every value that does not fit, and the keys there are.
    """
    try:
        return config_class.model_validate(values)
    except ValidationError as error:
        known = ", ".join(config_class.model_fields) or "none"
        faults = []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"])
            if fault["type"] == "extra_forbidden":
                faults.append(f"there is no {key!r}")
            else:
                given = f"{key} = {fault['input']!r}: " if key else ""
                faults.append(f"{given}{fault['msg'].lower()}")
        raise ConfigError(
            f"{where}: {'; '.join(faults)}", hint=f"the settings there are: {known}"
        ) from error


def given_settings(file: Path | None, pairs: Sequence[str] | None) -> dict[str, Any]:
    """What ``--config`` and ``--set`` say; ``--set`` wins.

    Raises:
        ConfigError: the file or a pair cannot be read.
    """
    values = read_toml(file) if file is not None else {}
    return {**values, **parse_settings(pairs or [])}


def build_config(
    config_class: type[Config], *, file: Path | None, pairs: Sequence[str] | None, where: str
) -> Config:
    """The configuration that ``--config`` and ``--set`` describe; ``--set`` wins.

    Raises:
        ConfigError: the file, a pair or a value does not fit.
    """
    return fit_config(config_class, given_settings(file, pairs), where=where)


def parse_columns(columns: str | None) -> dict[str, str]:
    """``--columns`` as our names to the file's.

    Raises:
        UsageError: it is not ``ours=theirs,ours=theirs``.
    """
    chosen: dict[str, str] = {}
    for part in (columns or "").split(",") if columns else []:
        ours, equals, theirs = part.partition("=")
        if not equals or not ours.strip() or not theirs.strip():
            raise UsageError(
                f"--columns {columns!r}: expected ours=theirs pairs with commas between",
                hint="--columns user=customer_id,item=product_id,time=ordered_at",
            )
        chosen[ours.strip()] = theirs.strip()
    return chosen


def dialect_of_tables() -> Dialect | None:
    """What ``--sep``, ``--time-format`` and ``--drop-bad`` say; None if nothing.

    Raises:
        ConfigError: a value does not fit.
    """
    from recsec.data import Dialect

    said = {key: value for key, value in settings().table.items() if key in Dialect.model_fields}
    try:
        return Dialect.model_validate(said) if said else None
    except ValidationError as error:
        raise misread(error) from error


def misread(error: ValidationError) -> ConfigError:
    """What to say of an option about tables that does not fit."""
    fault = error.errors()[0]
    option = f"--{str(fault['loc'][0]).replace('_', '-')}"
    why = str(fault["msg"]).removeprefix("Value error, ")
    hint = "--sep ';'" if option == "--sep" else "--time-format '%d/%m/%Y %H:%M'"
    return ConfigError(f"{option} {fault['input']!r}: {why}", hint=hint)


def table_words(columns: str | None) -> list[str]:
    """The options about tables as the user gave them, for a command that is to read the same."""
    words = ["--columns", columns] if columns else []
    for name, value in settings().table.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words

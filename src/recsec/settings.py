"""Settings in one word, as typed after ``--set``, ``--guard`` and ``--data`` and in plans."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from recsec.errors import ConfigError
from recsec.text import placed

__all__ = ["checked", "parse_guards", "parse_settings", "parse_words", "section_of"]

Config = TypeVar("Config", bound=BaseModel)


def checked(kind: type[Config], values: Mapping[str, Any], *, where: str) -> Config:
    """A configuration from texts or numbers, with one readable error.

    Args:
        kind: of the configuration.
        values: by setting.
        where: whose settings they are, for messages.

    Raises:
        ConfigError: an unknown word or a value out of range.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{where}: {_placed(first['loc'], values, first['msg'].lower())}",
            hint=f"settings are {', '.join(section_of(kind, first['loc']).model_fields)}",
        ) from error


def section_of(kind: type[BaseModel], place: Sequence[str | int]) -> type[BaseModel]:
    """The table in which a key stands, in a configuration that may hold others."""
    section = kind
    for name in place[:-1]:
        field = section.model_fields.get(str(name))
        inside = [] if field is None else _models_in(field.annotation)
        section = inside[0] if inside else section
    return section


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _placed(place: Sequence[str | int], values: Any, what: str) -> str:
    """A fault and where it is; tables of a list go by their name, or are counted from 1."""
    tables: list[str] = []
    words: list[str] = []
    for part in place:
        try:
            values = values[part]
        except (LookupError, TypeError):
            values = None
        if isinstance(part, int) and isinstance(values, Mapping):
            table = ".".join(words).removesuffix("s")
            tables.append(f"{table} {values.get('name') or part + 1}")
            words = []
        else:
            words.append(str(part))
    return ": ".join([*tables, placed(words, what)])


def parse_words(text: str, *, where: str) -> dict[str, str]:
    """Settings behind the name of data, as texts.

    >>> parse_words("users=500,items=200", where="synthetic")
    {'users': '500', 'items': '200'}

    Args:
        text: pairs with commas between.
        where: whose settings they are, for messages.

    Raises:
        ConfigError: a part without ``=``, or a name twice.
    """
    values: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"{where}: found {part!r}, expected key=value")
        if key.strip() in values:
            raise ConfigError(f"{where}: {key.strip()} is given twice")
        values[key.strip()] = value.strip()
    return values


def parse_guards(words: Sequence[str] | None) -> list[dict[str, Any]]:
    """Guards as typed, as tables of name and settings.

    >>> parse_guards(["truncate:length=5", "reverse"])
    [{'name': 'truncate', 'length': 5}, {'name': 'reverse'}]

    Raises:
        ConfigError: settings that are not ``key=value``.
    """
    tables = []
    for word in words or []:
        name, _, settings = word.partition(":")
        pairs = [pair for pair in settings.split(",") if pair]
        tables.append({"name": name.strip(), **parse_settings(pairs, where=f"guard {name}:")})
    return tables


def parse_settings(pairs: Sequence[str], *, where: str = "--set") -> dict[str, Any]:
    """Pairs ``key=value`` as a dictionary; values are TOML scalars or arrays, else text.

    A dot in a key nests: ``surrogate_settings.epochs=3``.

    >>> parse_settings(["epochs=3", "lr=1e-3", "name=plain words", "on=true", "a.b=[1, 2]"])
    {'epochs': 3, 'lr': 0.001, 'name': 'plain words', 'on': True, 'a': {'b': [1, 2]}}

    Args:
        pairs: what was typed.
        where: after which option or key, for messages.

    Raises:
        ConfigError: a pair without ``=``, or a key given twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", key.strip()):
            raise ConfigError(f"{where} {pair!r}: expected key=value", hint="as in epochs=10")
        *path, last = key.strip().split(".")
        place = found
        for name in path:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{where} {pair!r}: {name!r} was already given a value")
        if last in place:
            raise ConfigError(f"{where} {key.strip()} is given twice", hint="leave one of them out")
        place[last] = _toml_value(text.strip())
    return found


def _toml_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    value = parsed["value"]
    plain = isinstance(value, bool | int | float | str | list) and len(parsed) == 1
    return value if plain else text

"""Settings in one word, as typed after ``--set`` and ``--guard`` and in plans."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from recsec.errors import ConfigError

__all__ = ["parse_guards", "parse_settings", "settings_of"]

Config = TypeVar("Config", bound=BaseModel)


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
    except tomllib.TOMLDecodeError:
        return text
    value = parsed["value"]
    plain = isinstance(value, bool | int | float | str | list) and len(parsed) == 1
    return value if plain else text


def settings_of(kind: type[Config], values: Mapping[str, Any], what: str) -> Config:
    """Settings of a component as its config class.

    Args:
        kind: the class.
        values: as a plan gives them.
        what: the component, for messages.

    Raises:
        ConfigError: with the first setting that does not fit, and those that there are.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise ConfigError(
            f"settings of {what}: {where}: {fault['msg']}",
            hint=f"there are: {', '.join(kind.model_fields)}",
        ) from error

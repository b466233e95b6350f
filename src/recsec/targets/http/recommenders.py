"""Several recommenders behind one address: one file, and ``FILE#NAME`` for each.

``recommenders = ["home", "similar"]`` names them, and ``{recommender}`` stands for the name in
address, headers and requests. As tables they hold settings of the file that are others for one:
``[recommenders.similar]`` with ``response = "$.similar"``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from recsec.errors import ConfigError
from recsec.targets.http.placeholders import PLACE

__all__ = ["NAMED", "recommender_of", "split_name"]

NAMED: Final = "recommender"
ADDRESS: Final = "url"
NAME: Final = re.compile(r"[^\x00-\x1f{}#]+")


def split_name(spec: str) -> tuple[str, str | None]:
    """The file and, after ``#``, the name of one of its recommenders.

    >>> split_name("shop.toml#because you watched"), split_name("shop.toml")
    (('shop.toml', 'because you watched'), ('shop.toml', None))
    """
    file, found, name = spec.rpartition(".toml#")
    return (f"{file}.toml", name) if found else (spec, None)


def recommender_of(values: Mapping[str, Any], name: str | None, *, file: str) -> dict[str, Any]:
    """The settings of one recommender of a file; of a file with one, the file's own.

    Args:
        values: what the file holds.
        name: after ``#``; None: none was named.
        file: for errors.

    Raises:
        ConfigError: the file names several and none is chosen, or names none that is called so.
    """
    found = dict(values)
    several = found.pop("recommenders", None)
    if several is None and name is None:
        return found
    known = _tables(several, file)
    if name not in known:
        said = "names several recommenders" if name is None else f"has no recommender {name!r}"
        if not known:
            raise ConfigError(f"{file} {said}", hint=f"it describes one API: --model {file}")
        raise ConfigError(
            f"{file} {said}; there are: {', '.join(known)}",
            hint=f"--model {_quoted(f'{file}#{next(iter(known))}')}",
        )
    found |= known[name]
    settings = {key: _named(value, name, key) for key, value in found.items()}
    return {**settings, NAMED: name, "beside": [*known]}


def _tables(several: Any, file: str) -> dict[str, dict[str, Any]]:
    """Settings by name."""
    if several is None:
        return {}
    if isinstance(several, list):
        several = {name: {} for name in several if isinstance(name, str)}
    names = several if isinstance(several, dict) else {}
    if not names or not all(NAME.fullmatch(one) for one in names):
        raise ConfigError(
            f'{file}: recommenders is a list of names, ["home", "similar"], or a table for each; '
            "a name holds no braces, # or line ends"
        )
    if not all(isinstance(table, dict) for table in names.values()):
        raise ConfigError(f"{file}: each of recommenders is a table of settings")
    return dict(names)


def _named(template: Any, name: str, key: str) -> Any:
    """A template with the name in place of ``{recommender}``."""
    if isinstance(template, dict):
        return {one: _named(value, name, str(one)) for one, value in template.items()}
    if isinstance(template, list):
        return [_named(value, name, key) for value in template]
    if not isinstance(template, str):
        return template
    said = quote(name, safe="") if key == ADDRESS else name
    return PLACE.sub(lambda found: said if found[2] == NAMED else found[0], template)


def _quoted(spec: str) -> str:
    return spec if re.fullmatch(r"[\w./#-]+", spec) else f"'{spec}'"

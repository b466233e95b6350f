"""Which file a table means: names are compared as people see them, not as bytes."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable, Sequence

__all__ = ["folded", "match_names"]


def folded(name: str) -> str:
    r"""A name without what systems write differently: case, Unicode form, ``\``, ``./``.

    >>> folded(".\\Images\\1.JPG")
    'images/1.jpg'
    """
    path = posixpath.normpath("/" + name.strip().replace("\\", "/"))
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold()).lstrip("/")


def match_names(listed: Sequence[str | None], there: Iterable[str]) -> list[str | None]:
    """The file of each listed name: the one called so, or else the only one that looks so."""
    exact = set(there)
    alike: dict[str, list[str]] = {}
    for name in sorted(exact):
        alike.setdefault(folded(name), []).append(name)

    def file_of(name: str | None) -> str | None:
        if name is None or name in exact:
            return name
        found = alike.get(folded(name), [])
        return found[0] if len(found) == 1 else None

    return [file_of(name) for name in listed]

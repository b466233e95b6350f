"""Placeholders of a request: which there are, where they stand, and what takes their place.

A text that is exactly ``{history}`` becomes the list of ids, ``{k}`` the number; inside a longer
text a list is joined by commas. An element of a list that names ``{item}`` stands for one element
per item. ``{{word}}`` is the text ``{word}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

__all__ = [
    "EVERYWHERE",
    "ITEM",
    "PAGED",
    "SECRET",
    "asked_per_item",
    "fields_of",
    "in_address",
    "mentioned",
    "render",
    "with_query",
]

EVERYWHERE: Final = ("history", "k", "account", "item", "session", "session_number")
PAGED: Final = ("page", "offset", "cursor")
ITEM: Final = "item"
SECRET: Final = "secret"  # noqa: S105 - the name of a placeholder
PLACE: Final = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")


def mentioned(template: Any) -> Iterator[str]:
    """The names in braces of a request, in the order of their places."""
    if isinstance(template, Mapping):
        for key, value in template.items():
            yield from mentioned(key)
            yield from mentioned(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from mentioned(value)
    elif isinstance(template, str):
        yield from (name for _, name in PLACE.findall(template) if name)


def asked_per_item(*templates: Any) -> bool:
    """Whether ``{item}`` stands outside of a list, so that a request is sent for each item."""
    return any(ITEM in mentioned(_without_lists(template)) for template in templates)


def _without_lists(template: Any) -> Any:
    if isinstance(template, Mapping):
        return {key: _without_lists(value) for key, value in template.items()}
    return "" if isinstance(template, list | tuple) else template


def render(template: Any, values: Mapping[str, Any]) -> Any:
    """Fill in the placeholders of a request.

    A field or element that is exactly a placeholder whose value is None is left out.

    Args:
        template: a JSON document.
        values: what each placeholder stands for; ``item`` only while a request is about one.
    """
    if isinstance(template, Mapping):
        filled = {key: render(value, values) for key, value in template.items()}
        return {key: value for key, value in filled.items() if not _is_absent(template[key], value)}
    if isinstance(template, list | tuple):
        found = [(element, one) for element in template for one in _elements(element, values)]
        return [one for element, one in found if not _is_absent(element, one)]
    if not isinstance(template, str):
        return template
    whole = PLACE.fullmatch(template)
    if whole is not None and whole[2] in values:
        return values[whole[2]]
    return _text(template, values)


def _elements(element: Any, values: Mapping[str, Any]) -> list[Any]:
    """What one element of a list becomes: itself, or one for each item."""
    if ITEM in values or ITEM not in mentioned(element):
        return [render(element, values)]
    return [render(element, {**values, ITEM: item}) for item in values["history"]]


def _is_absent(template: Any, value: Any) -> bool:
    """Whether a placeholder had no value, as ``{cursor}`` of the first page."""
    return value is None and isinstance(template, str)


def _text(template: str, values: Mapping[str, Any], *, safe: str | None = None) -> str:
    """A text with its placeholders filled in; ``safe``: as a part of an address."""

    def fill(found: re.Match[str]) -> str:
        literal, name = found.groups()
        if literal is not None:
            return "{" + literal + "}"
        value = values.get(name)
        joined = ",".join(map(str, value)) if isinstance(value, list) else value
        text = "" if joined is None else str(joined)
        return text if safe is None else quote(text, safe=safe)

    return PLACE.sub(fill, template)


def in_address(template: str, values: Mapping[str, Any]) -> str:
    """An address with its placeholders filled in; what they bring cannot end a part of the path."""
    return _text(template, values, safe=",")


def fields_of(template: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A request as the fields of a query or form, filled in.

    Lists are joined by commas, except those that have one element per item: they repeat the field.
    """
    return {
        key: ",".join(map(str, value))
        if isinstance(value, list) and ITEM not in mentioned(template[key])
        else value
        for key, value in render(template, values).items()
    }


def with_query(url: str, fields: Mapping[str, Any]) -> httpx.URL:
    """The address with these query parameters.

    Raises:
        httpx.InvalidURL: it gets longer than an address may be.
    """
    return httpx.URL(url).copy_merge_params(dict(fields)) if fields else httpx.URL(url)

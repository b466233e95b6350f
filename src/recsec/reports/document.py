"""Putting values of a JSON document into a page, each marked with where it stands.

A page shows a number only through here, as ``<data value="0.569" data-json="/rows/0/...">``; the
pointer (RFC 6901) lets a reader, or a test in a browser, look every number up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any

from jinja2 import BytecodeCache, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

__all__ = ["FORMATS", "LABELS", "Document", "pointer"]

LABELS = {
    "agr@1": "Agr@1",
    "agr@5": "Agr@5",
    "agr@10": "Agr@10",
    "agr@20": "Agr@20",
    "rbo": "RBO",
    "tau": "Kendall’s τ",
    "lift": "gain",
    "hr@10": "HR@10",
    "ndcg@10": "NDCG@10",
    "hr_ratio": "HR ratio",
    "target_hr@10": "target’s HR@10",
    "map@r": "mAP@R",
    "overlap@10": "overlap@10",
    "utility": "utility kept",
    "lift_taken": "gain taken away",
    "served_agr@10": "Agr@10 with the lists served",
}
"""Keys of metrics as the reader knows them; another key is its own label."""
SIGNS = {"high": "▲", "moderate": "◆", "low": "●", "incomplete": "?", "weak": "?", "info": "i"}
"""Levels and severities by shape, for who does not tell colors apart."""
OURS = "recsec.reports"


def _hours(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


FORMATS: dict[str, Callable[[Any], str]] = {
    "share": lambda value: f"{value:.3f}",
    "count": lambda value: f"{value:,}",
    "hours": _hours,
    "percent": lambda value: f"{100 * value:g} %",
    "part": lambda value: f"{100 * value:.1f} %",
    "points": lambda value: f"{100 * value:+.1f}",
    "loss": lambda value: f"{value:.4f}",
    "rate": lambda value: f"{value:.3g}",
    "tenth": lambda value: f"{value:,.1f}",
    "plain": lambda value: f"{value:.6g}",
}
"""How a number is printed, by the kind of number."""


def pointer(*parts: str | int) -> str:
    """The JSON pointer of a path.

    >>> pointer("rows", 0, "metrics", "a/b")
    '/rows/0/metrics/a~1b'
    """
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class _Compiled(BytecodeCache):
    """Templates as they were compiled for another document."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """See ``BytecodeCache``; a template that was changed since has another check sum."""
        if bucket.key in self.kept:
            bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """See ``BytecodeCache``."""
        self.kept[bucket.key] = bucket.bytecode_to_string()


COMPILED = _Compiled()


@dataclass(frozen=True)
class Document:
    """A JSON document that is shown as a page.

    Attributes:
        data: the whole document.
        root: the part that a template sees; its paths start there, its pointers at the top.
        pictures: file name -> data URI of the pictures that the document names.
        package: whose folder ``templates`` is looked through first; ours comes second.
    """

    data: Any
    root: tuple[str, ...] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)
    package: str = OURS

    def at(self, *parts: str | int) -> Any:
        """The value at a path."""
        value = self.data
        for part in (*self.root, *parts):
            value = value[part]
        return value

    def number(self, style: str, *parts: str | int) -> Markup:
        """A number of the document, printed in a style of ``FORMATS``; a dash where it is null."""
        value = self.at(*parts)
        where = escape(pointer(*self.root, *parts))
        if value is None:
            return Markup('<span class="none" data-json="{}" title="not defined">–</span>').format(
                where
            )
        return Markup('<data value="{}" data-json="{}" data-style="{}">{}</data>').format(
            value, where, style, FORMATS[style](value)
        )

    def text(self, *parts: str | int) -> Markup:
        """A string of the document, kept from changing the direction of what stands around it."""
        where = escape(pointer(*self.root, *parts))
        return Markup('<bdi data-json="{}">{}</bdi>').format(where, self.at(*parts))

    def picture(self, name: str | None, alt: str, kind: str = "photo") -> Markup:
        """A picture inside the page; words where the file is not at hand."""
        if name is None or name not in self.pictures:
            return Markup(
                '<span class="none {}" role="img" aria-label="{}">no picture</span>'
            ).format(kind, alt)
        return Markup('<img class="{}" alt="{}" src="{}">').format(kind, alt, self.pictures[name])

    def key(self, name: str) -> Markup:
        """The label of a metric: its number is part of its name."""
        return Markup('<span data-key="{}">{}</span>').format(name, LABELS.get(name, name))

    def page(self, template: str, **values: Any) -> str:
        """The document through a template."""
        return self._environment.get_template(template).render(**values)

    @cached_property
    def _environment(self) -> Environment:
        packages = dict.fromkeys([self.package, OURS])
        environment = Environment(
            loader=ChoiceLoader([PackageLoader(one, "templates") for one in packages]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            bytecode_cache=COMPILED,
        )
        style = files(OURS).joinpath("templates/report.css").read_text("utf-8")
        environment.globals.update(
            whole=self.data,
            doc=self.at(),
            num=self.number,
            txt=self.text,
            key=self.key,
            picture=self.picture,
            labels=LABELS,
            signs=SIGNS,
            style=Markup(style),  # noqa: S704 - our own file
        )
        return environment

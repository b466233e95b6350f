"""``recsec list``: the components that are installed, with their defaults."""

from __future__ import annotations

import json as json_format
from contextlib import suppress
from importlib.resources import files
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit, note, to_json
from recsec.errors import ConfigError
from recsec.registry import KINDS, Registry, registry

__all__ = ["component", "describe", "run"]


def run(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help=f"One of: {', '.join(KINDS)}.", show_default=False)
    ],
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the components of a kind: ours and those of installed plugins.

    A plugin that does not load is named and left out.
    """
    found = registry(kind)
    result = describe(found)
    for key, reason in found.broken.items():
        note(f"warning: skipped the broken component {key!r}: {reason}")
    emit(result, lambda console: _render(console, result), json=json)


def describe(found: Registry) -> dict[str, Any]:
    """Key -> what it is and its settings with their defaults, and what is broken."""
    known = _shipped(found.kind)
    listed = {}
    for key, where in found.places().items():
        if key in known and known[key]["where"] == where:
            listed[key] = {name: known[key][name] for name in ("summary", "settings")}
            continue
        with suppress(ConfigError):  # a broken one is kept in found.broken
            listed[key] = component(found.get(key))
    return {"kind": found.kind, "components": listed, "broken": dict(found.broken)}


def _shipped(kind: str) -> dict[str, Any]:
    """Our own components, described when recsec was built: loading them would load torch."""
    text = files("recsec").joinpath("components.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json_format.loads(text).get(kind, {})
    return found


def component(component: Any) -> dict[str, Any]:
    """What a loaded component is, and its settings with their defaults."""
    summary = (component.__doc__ or "").strip().split("\n", maxsplit=1)[0]
    config = getattr(component, "config_class", None)
    settings = {} if config is None else config.model_fields
    return {
        "summary": summary.replace("``", ""),
        "settings": {
            name: {
                "default": None if setting.is_required() else to_json(setting.get_default()),
                "description": setting.description or "",
            }
            for name, setting in settings.items()
        },
    }


def _render(console: Console, result: dict[str, Any]) -> None:
    for key, component in result["components"].items():
        console.print(key, style="bold", end="  ")
        console.print(component["summary"])
        if not component["settings"]:
            continue
        table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
        for name, setting in component["settings"].items():
            table.add_row(name, str(setting["default"]), setting["description"])
        console.print(table)

"""``recsec list``: the components that are installed, with their defaults."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit, note
from recsec.registry import KINDS, Registry, registry

__all__ = ["describe", "run"]


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
    listed = {key: _component(component) for key, component in found.items().items()}
    return {"kind": found.kind, "components": listed, "broken": dict(found.broken)}


def _component(component: Any) -> dict[str, Any]:
    summary = (component.__doc__ or "").strip().split("\n", maxsplit=1)[0]
    config = getattr(component, "config_class", None)
    settings = {} if config is None else config.model_fields
    return {
        "summary": summary.replace("``", ""),
        "settings": {
            name: {
                "default": None if setting.is_required() else setting.get_default(),
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

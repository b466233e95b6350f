"""The ``recsec`` command: commands register here; errors become exit codes here."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click
import typer
from typer.core import TyperGroup

from recsec import __version__
from recsec.cli.output import Settings, fail
from recsec.errors import EXIT_INTERRUPTED, RecsecError

__all__ = ["app", "main"]

COMMANDS = {
    "data": "Get, check, describe and make data sets.",
    "train": "Train a recommender.",
    "evaluate": "Measure a recommender on held-out items.",
    "recommend": "Try a recommender in an interactive session.",
    "compare": "Set recommenders side by side.",
    "extract": "Copy a recommender through its top-k API.",
    "audit": "Run a plan of attacks and write the report.",
    "report": "Make the report of a run directory.",
    "list": "List components with their defaults.",
    "demo": "A first audit, from training to report.",
}
"""Command and its one-line help. A command lives in ``recsec.cli.<name>`` as ``app`` or ``run``
(``list`` in ``list_``) and is imported only when it is used, so ``--help`` stays fast."""


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and build one command."""
        if cmd_name not in COMMANDS:
            return None
        module: Any = importlib.import_module(
            f"recsec.cli.{cmd_name}{'_' if cmd_name == 'list' else ''}"
        )
        if hasattr(module, "app"):
            command = typer.main.get_command(module.app)
        else:
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command()(module.run)
            command = typer.main.get_command(single)
        command.name = cmd_name
        return command

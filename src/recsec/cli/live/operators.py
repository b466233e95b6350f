"""``recsec operators``: people who log in to the dashboard of a service."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit, note
from recsec.cli.shared.service import STATE, StateOption, need_extra, open_service_state
from recsec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="With which they log in.")]


@app.callback()
def operators() -> None:
    """People who log in to the dashboard of a service, at /dashboard.

    A password is asked for, or read as one line from stdin where that is no terminal.
    """


@app.command("add")
def add(
    name: NameArgument,
    state: StateOption = STATE,
    role: Annotated[
        Literal["viewer", "operator", "admin"],
        typer.Option(help="viewer looks; operator also acts on accounts; admin also enforces."),
    ] = "viewer",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Let somebody log in. The trail of the service names who did what."""
    need_extra()
    from recsec.serving.engine import open_state
    from recsec.serving.state import new_operator

    _, store = open_state(state)
    new_operator(store, name, role, _password())
    store.close()
    shown = {"name": name, "role": role}
    emit(shown, lambda console: console.print(f"added {name} ({role})"), json=json)


@app.command("password")
def password(
    name: NameArgument,
    state: StateOption = STATE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Give somebody another password; where they are logged in, they no longer are."""
    _, store = open_service_state(state)
    from recsec.serving.state import new_password

    new_password(store, name, _password())
    store.close()
    emit({"changed": name}, lambda console: console.print(f"changed {name}"), json=json)


@app.command("remove")
def remove(
    name: NameArgument,
    state: StateOption = STATE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Let somebody no longer log in, at once."""
    _, store = open_service_state(state)
    done = store.remove_operator(name, actor="command line")
    store.close()
    if not done:
        raise UsageError(f"there is no operator {name!r}", hint="recsec operators list")
    emit({"removed": name}, lambda console: console.print(f"removed {name}"), json=json)


@app.command("list")
def list_(state: StateOption = STATE, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show who may log in, and as what."""
    _, store = open_service_state(state)
    found = [
        {
            "name": one.name,
            "role": one.grade,
            "created": datetime.fromtimestamp(one.created, UTC).isoformat("T", "seconds"),
        }
        for one in store.operators()
    ]
    store.close()

    def render(console: Console) -> None:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("name", "role", "created"):
            table.add_column(column)
        for row in found:
            table.add_row(*row.values())
        console.print(table)

    emit({"operators": found}, render, json=json)


def _password() -> str:
    """Asked for twice on a terminal; else the first line of stdin."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    import getpass

    note("a password has at least 12 characters")
    first, second = (getpass.getpass(f"{word}: ") for word in ("password", "again"))
    if first != second:
        raise UsageError("the two passwords differ")
    return first

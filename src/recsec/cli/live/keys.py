"""``recsec keys``: the API keys of a service."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit, note
from recsec.cli.shared.service import STATE, StateOption, need_extra, open_service_state
from recsec.errors import UsageError

if TYPE_CHECKING:
    from recsec.serving.state import Key

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def keys() -> None:
    """API keys of a service. A running one takes changes within a second."""


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As recsec keys list shows it.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who gets the key.")],
    state: StateOption = STATE,
    role: Annotated[
        Literal["client", "gateway"],
        typer.Option(help="client: asks for lists; gateway: also for decisions, and sends logs."),
    ] = "client",
    k: Annotated[int, typer.Option("--k", min=1, help="Longest list of this key.")] = 100,
    rate: Annotated[
        str | None, typer.Option(metavar="N/TIME", help="Most requests, as in 100/minute.")
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Answers with scores, where a request asks for them.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw a key and show it, once: only a salted hash of it is kept."""
    need_extra()
    from recsec.serving.engine import open_state
    from recsec.serving.state import new_key

    if not 1 <= len(name) <= 80:
        raise UsageError("the name of a key has 1 to 80 characters")
    _, store = open_state(state)
    text, key = new_key(store, name, role=role, k=k, rate=rate, scores=scores)
    store.close()
    _show_new(text, key, json=json)


@app.command("rotate")
def rotate(
    id: IdArgument, state: StateOption = STATE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Draw another key with the same name and limits, and revoke the old one."""
    _, store = open_service_state(state)
    from recsec.serving.state import new_key

    old = next((key for key in store.known_keys() if key.id == id and key.revoked is None), None)
    if old is None:
        raise _unknown(id)
    text, key = new_key(store, old.name, role=old.role, k=old.k, rate=old.rate, scores=old.scores)
    store.revoke_key(id, at=time.time())
    store.close()
    _show_new(text, key, json=json)


@app.command("revoke")
def revoke(
    id: IdArgument, state: StateOption = STATE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Make a key worthless."""
    _, store = open_service_state(state)
    done = store.revoke_key(id, at=time.time())
    store.close()
    if not done:
        raise _unknown(id)
    emit({"revoked": id}, lambda console: console.print(f"revoked {id}"), json=json)


@app.command("list")
def list_(state: StateOption = STATE, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show the keys: never their text."""
    _, store = open_service_state(state)
    found = [_shown(key) for key in store.known_keys()]
    store.close()

    def render(console: Console) -> None:
        table = Table(box=None, padding=(0, 2, 0, 0))
        columns = ("id", "name", "role", "k", "rate", "scores", "created", "used", "revoked")
        for column in columns:
            table.add_column(column)
        for row in found:
            table.add_row(*(_cell(row[name]) for name in columns))
        console.print(table)

    emit({"keys": found}, render, json=json)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else str(value)[:16]


def _unknown(id: str) -> UsageError:
    return UsageError(f"there is no good key {id!r}", hint="recsec keys list")


def _show_new(text: str, key: Key, *, json: bool) -> None:
    note("this is shown once and kept nowhere; whoever has it may ask")
    shown = {"key": text, **_shown(key)}
    emit(shown, lambda console: console.print(text, soft_wrap=True), json=json)


def _shown(key: Key) -> dict[str, Any]:
    shown: dict[str, Any] = {
        name: getattr(key, name) for name in ("id", "name", "role", "k", "rate", "scores")
    }
    for name in ("created", "used", "revoked"):
        at = getattr(key, name)
        shown[name] = (
            None if at is None else datetime.fromtimestamp(at, UTC).isoformat("T", "seconds")
        )
    return shown

"""How commands speak: results on stdout, talk on stderr, one way to fail."""

from __future__ import annotations

import json as json_format
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import Console

from recsec.cli.shared.bars import bars, lines
from recsec.errors import RecsecError
from recsec.types import Progress

__all__ = [
    "Settings",
    "configure",
    "console",
    "emit",
    "fail",
    "note",
    "note_synthetic",
    "progress",
    "resumable",
    "settings",
    "to_json",
    "unwritten",
]


@dataclass(frozen=True)
class Settings:
    """What the user asked of the talk.

    Attributes:
        json: results as JSON.
        quiet: no notes and no progress; errors only.
        debug: tracebacks.
        resume: the command that continues this one if it is interrupted.
        table: what ``--sep``, ``--time-format`` and ``--drop-bad`` say about the user's tables.
    """

    json: bool = False
    quiet: bool = False
    debug: bool = False
    resume: str | None = None
    table: Mapping[str, Any] = field(default_factory=dict)


_DEFAULT = Settings()
_settings: ContextVar[Settings] = ContextVar("settings")
_live: ContextVar[Console | None] = ContextVar("live", default=None)


def settings() -> Settings:
    """The settings of the command that runs."""
    return _settings.get(_DEFAULT)


def configure(**changes: Any) -> None:
    """Change some settings of the command that runs."""
    _settings.set(replace(settings(), **changes))


def resumable(command: str) -> None:
    """Say that from now on ``command`` continues this one; printed if it is interrupted."""
    configure(resume=command)


class _Console(Console):
    """A console that leaves a closed pipe to ``main``: rich would exit 1, a gate's verdict."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """The console of results: stdout. 80 columns where there is no terminal."""
    return _Console(highlight=False, emoji=False)


def _talk() -> Console:
    """The console of talk: stderr, and the one that shows progress while there is any."""
    return _live.get() or _Console(stderr=True, highlight=False, emoji=False)


def note(text: str) -> None:
    """Say something that is no result, on stderr; silent with ``--quiet``."""
    if not settings().quiet:
        _talk().print(text, markup=False, soft_wrap=True)


def note_synthetic(synthetic: bool, *, photos: bool = False) -> None:
    """Say what numbers are worth that come from made-up data, or made-up photos."""
    if synthetic and photos:
        note("the photos are synthetic: these numbers say nothing about real ones")
    elif synthetic:
        note("the data is synthetic: these numbers say nothing about real users")


def to_json(value: Any) -> Any:
    """``value`` with everything that JSON lacks replaced: NaN and infinities become null.

    >>> to_json({"hr@10": float("nan"), "users": (1, 2)})
    {'hr@10': None, 'users': [1, 2]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if hasattr(value, "to_json"):
        return to_json(value.to_json())
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return to_json(value.tolist())
    if isinstance(value, str | int) or value is None:
        return value
    return str(value)


def emit(obj: Mapping[str, Any], render: Callable[[Console], None], *, json: bool) -> None:
    """Write the result of a command to stdout: ``obj`` as JSON, or ``render(console)``.

    Raises:
        RecsecError: stdout takes nothing, such as a file on a full disk.
        BrokenPipeError: whoever read it went away.
    """
    try:
        if json:
            indent = 2 if sys.stdout.isatty() else None
            text = json_format.dumps(to_json(obj), indent=indent, allow_nan=False)
            sys.stdout.write(text + "\n")
        else:
            render(console())
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritten(error) from error


def unwritten(error: OSError) -> RecsecError:
    """What to say where stdout takes nothing."""
    return RecsecError(
        f"cannot write to stdout: {(error.strerror or str(error)).lower()}",
        hint="send the output somewhere else",
    )


@contextmanager
def progress() -> Iterator[Progress]:
    """A ``Progress`` callback: bars on a terminal, plain lines otherwise, nothing with ``--quiet``.

    ``what`` may carry a detail after `` | ``, such as ``"training | loss 4.31, ndcg@10 0.12"``:
    the part before it names the bar.
    """
    talk = _talk()
    if settings().quiet:
        yield lambda what, done, total: None
        return
    if not talk.is_terminal:
        yield lines(note)
        return
    token = _live.set(talk)
    try:
        with bars(talk) as report:
            yield report
    finally:
        _live.reset(token)


def fail(error: RecsecError) -> int:
    """Tell the user what went wrong and what to do next; returns the exit code.

    With ``--json`` stdout gets one object too: ``{"error": {...}}``.
    """
    talk = _talk()
    talk.print("[bold red]error:[/] ", end="", soft_wrap=True)
    talk.print(error.message, markup=False, soft_wrap=True)
    if error.hint:
        talk.print("[bold]next:[/] ", end="", soft_wrap=True)
        talk.print(error.hint, markup=False, soft_wrap=True)
    if settings().json:
        found = {
            "kind": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        with suppress(OSError, RecsecError):  # the exit code says it all the same
            emit({"error": found}, lambda _: None, json=True)
    return error.exit_code

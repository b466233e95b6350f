"""How commands speak: results on stdout, talk on stderr, one way to fail."""

from __future__ import annotations

import json as json_format
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from recsec.cli.shared.bars import bars, lines
from recsec.errors import RecsecError
from recsec.text import visible
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
    "say",
    "settings",
    "to_json",
    "unwritten",
    "write_json",
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
    """The border between us and a terminal: all that a command says passes here.

    Text is never markup, and what would steer a terminal or reorder a line is spelled out, whoever
    wrote it: titles, accounts, paths, other people's exceptions. Our own colors are styles. A
    closed pipe is left to ``main``: rich would exit 1, a gate's verdict.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False, markup=False)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError

    def render_str(self, text: str, **options: Any) -> Text:
        """Before lines are broken, so that widths are right."""
        return super().render_str(visible(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Whatever else is shown, part by part; what rich itself says to the terminal stays."""
        if isinstance(renderable, Text):
            renderable = renderable.copy()
            renderable.plain = visible(renderable.plain)
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


def console() -> Console:
    """The console of results: stdout. 80 columns where there is no terminal."""
    return _Console()


def _talk() -> Console:
    """The console of talk: stderr, and the one that shows progress while there is any."""
    return _live.get() or _Console(stderr=True)


def note(text: str) -> None:
    """Say something that is no result, on stderr; silent with ``--quiet``."""
    if not settings().quiet:
        say(text)


def say(text: str, *, label: str | None = None) -> None:
    """Say something on stderr, whatever was asked; ``label`` stands before it."""
    talk = _talk()
    if label is not None:
        talk.print(f"{label}:", style="bold red" if label == "error" else "bold", end=" ")
    talk.print(text, soft_wrap=True)


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


def write_json(
    obj: Mapping[str, Any], *, indent: int | None = None, ensure_ascii: bool = True
) -> None:
    """Write one JSON object to stdout; what would steer a terminal is an escape in any case."""
    text = json_format.dumps(
        to_json(obj), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False
    )
    sys.stdout.write(visible(text) + "\n")


def emit(obj: Mapping[str, Any], render: Callable[[Console], None], *, json: bool) -> None:
    """Write the result of a command to stdout: ``obj`` as JSON, or ``render(console)``.

    Raises:
        RecsecError: stdout takes nothing, such as a file on a full disk.
        BrokenPipeError: whoever read it went away.
    """
    try:
        if json:
            write_json(obj, indent=2 if sys.stdout.isatty() else None)
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
    say(error.message, label="error")
    if error.hint:
        say(error.hint, label="next")
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

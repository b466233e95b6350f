"""Standard streams that are closed, full or unread change no exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["silence_stdout", "standard_streams"]


class _Forgiving(io.FileIO):
    """Takes everything: talk that nobody hears is no failure."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def _talk() -> io.TextIOWrapper:
    raw = io.BufferedWriter(_Forgiving(2, "w", closefd=False))
    return io.TextIOWrapper(
        raw, encoding=sys.stderr.encoding, errors="replace", line_buffering=True
    )


def _open_all() -> None:
    """A closed stream becomes the null device, or the next file to be opened gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - stays open
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - stays open


@contextmanager
def standard_streams() -> Iterator[None]:
    """For the time of a command: all three are open, and what fails on stderr is forgotten."""
    _open_all()
    before = sys.stderr
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if before is sys.__stderr__:
        sys.stderr = _talk()
    try:
        yield
    finally:
        sys.stderr = before


def silence_stdout() -> None:
    """What is still in its buffer goes nowhere, so that the interpreter doesn't fail at its end."""
    with suppress(AttributeError, OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)

"""Code of others in this process: what it does to the process is taken back.

It can still end the process outright (``os._exit``, a crash); only a process of its own survives
that, see ``recsec.targets.wall``.
"""

from __future__ import annotations

import ctypes
import gc
import locale
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any, TypeAlias

__all__ = ["Containment", "ProcessEnded", "prints_to_stderr"]

Setting: TypeAlias = tuple[Callable[[], Any], Callable[[Any], Any]]
"""How to read a setting of the process, and how to set it."""


class ProcessEnded(Exception):  # noqa: N818 - what was tried
    """Code of others tried to end the process; says how."""


def _set_environment(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def _set_path(before: list[str]) -> None:
    sys.path[:] = before


def _set_collecting(before: bool) -> None:
    (gc.enable if before else gc.disable)()


def _standard() -> list[Setting]:
    return [
        (lambda: dict(os.environ), _set_environment),
        (lambda: list(sys.path), _set_path),
        (os.getcwd, os.chdir),
        (
            lambda: locale.setlocale(locale.LC_ALL),
            lambda name: locale.setlocale(locale.LC_ALL, name),
        ),
        (sys.getrecursionlimit, sys.setrecursionlimit),
        (gc.isenabled, _set_collecting),
    ]


def _numerical() -> list[Setting]:
    """Those of numpy and torch, where they are loaded; loading them for this would take seconds."""
    found: list[Setting] = []
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        found.append((numpy.geterr, lambda kinds: numpy.seterr(**kinds)))
    if torch is not None and hasattr(torch, "get_default_device"):
        found += [
            (torch.get_default_dtype, torch.set_default_dtype),
            (
                torch.get_default_device,
                lambda device: torch.set_default_device(None if device.type == "cpu" else device),
            ),
            (torch.is_grad_enabled, torch.set_grad_enabled),
            (torch.get_num_threads, torch.set_num_threads),
            (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
            (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
        ]
    return found


def _generators() -> list[Setting]:
    """The global generators, which nothing of recsec uses; theirs go on from call to call."""
    found: list[Setting] = [(random.getstate, random.setstate)]
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and hasattr(numpy, "random"):
        found.append((numpy.random.get_state, numpy.random.set_state))
    if torch is not None and hasattr(torch, "get_rng_state"):
        found.append((torch.get_rng_state, torch.set_rng_state))
    return found


@contextmanager
def _settings_kept() -> Iterator[None]:
    kept = []
    for read, write in [*_standard(), *_numerical()]:
        with suppress(OSError):  # a current directory that was deleted
            kept.append((read, write, read()))
    try:
        yield
    finally:
        for read, write, before in kept:
            with suppress(OSError):
                if _read(read) != before:
                    write(before)


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except OSError:
        return None


@contextmanager
def _signals_kept() -> Iterator[list[bool]]:
    """Handlers are put back; the list says whether Ctrl-C was pressed meanwhile."""
    pressed: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    interrupt = before[signal.SIGINT]

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(True)
        if callable(interrupt):
            interrupt(number, frame)

    if callable(interrupt):
        signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Whatever is printed goes to stderr, by whatever way; both are what they were afterwards."""
    streams = sys.stdin, sys.stdout, sys.stderr
    with suppress(AttributeError, OSError, ValueError):
        sys.stdout.flush()
    ours: dict[int, int] = {}
    with suppress(OSError):
        ours = {number: os.dup(number) for number in (1, 2)}
        os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        with suppress(AttributeError, OSError, ValueError):
            sys.stdout.flush()
        with suppress(AttributeError, OSError, TypeError):
            ctypes.CDLL(None).fflush(None)
        for number, kept in ours.items():
            os.dup2(kept, number)
            os.close(kept)
        sys.stdin, sys.stdout, sys.stderr = streams


class Containment:
    """A wall inside the process: ``with containment.around():`` code of others runs.

    Exits and a KeyboardInterrupt that nobody pressed become ``ProcessEnded``; prints go to stderr;
    directory, environment, path, warnings, locale, signals, streams and the settings of numpy and
    torch are put back. Their use of global generators changes theirs, never ours.
    """

    def __init__(self) -> None:
        self._theirs: list[Any] = []

    @contextmanager
    def around(self) -> Iterator[None]:
        """Run the body behind the wall.

        Raises:
            ProcessEnded: it tried to end the process.
        """
        with ExitStack() as stack:
            stack.enter_context(self._own_generators())
            stack.enter_context(prints_to_stderr())
            stack.enter_context(warnings.catch_warnings())
            stack.enter_context(_settings_kept())
            pressed = stack.enter_context(_signals_kept())
            try:
                yield
            except Exception:
                raise
            except SystemExit as error:
                raise ProcessEnded(f"sys.exit({error.code!r})") from error
            except BaseException as error:
                if pressed:
                    raise
                raise ProcessEnded(f"{type(error).__name__}: {error}") from error

    @contextmanager
    def _own_generators(self) -> Iterator[None]:
        generators = _generators()
        before = [read() for read, _ in generators]
        for (_, write), state in zip(generators, self._theirs, strict=False):
            write(state)
        try:
            yield
        finally:
            self._theirs = [read() for read, _ in generators]
            for (_, write), state in zip(generators, before, strict=True):
                write(state)

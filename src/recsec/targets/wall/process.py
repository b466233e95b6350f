"""A function of the user in a process of its own."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from recsec.errors import TargetError
from recsec.targets.wall import child
from recsec.targets.wall.failures import told
from recsec.targets.wall.values import revived

__all__ = ["Walled", "walled"]

KEPT = 8
"""Functions whose processes wait for the next target that names them."""

LOOK = 0.5
"""Seconds between two looks at a process that says nothing."""


class _Lost(Exception):  # noqa: N818 - what happened, not yet an error
    """The process can't be talked to any more."""


class _Child:
    """One running process, and both ends of the talk with it."""

    def __init__(self, python: str | None) -> None:
        words = [sys.executable, "-P"] if python is None else [python]
        theirs = () if python is None else ("PYTHONPATH", "PYTHONHOME")
        kept = {name: value for name, value in os.environ.items() if name not in theirs}
        self.told = False
        """Whether it knows the constants."""
        self.process = subprocess.Popen(  # noqa: S603 - our own file
            [*words, child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if _is_open(2) else subprocess.DEVNULL,
            start_new_session=True,
            env={**_threads(), **kept},
        )

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and wait for the reply.

        Raises:
            _Lost: the process ended, closed the connection, or says something else.
        """
        requests = cast("IO[bytes]", self.process.stdin)
        try:
            requests.write(child.packed(message))
            requests.flush()
        except OSError as error:
            raise _Lost from error
        (length,) = child.HEADER.unpack(self._read(child.HEADER.size))
        if length > child.LARGEST:
            raise _Lost
        try:
            reply = json.loads(self._read(length), object_hook=revived)
        except ValueError as error:
            raise _Lost from error
        if not isinstance(reply, dict) or not {"value", "stage"} & set(reply):
            raise _Lost
        if "array" in reply:
            reply["value"] = self._array(reply["array"])
        return reply

    def _array(self, about: Any) -> npt.NDArray[Any]:
        """The numbers that follow a reply; only those of a kind that was agreed on."""
        try:
            kind, shape = about
            count = math.prod(shape)
            if kind not in child.ARRAYS or not all(type(n) is int and n >= 0 for n in shape):
                raise _Lost
        except (TypeError, ValueError) as error:
            raise _Lost from error
        size = count * np.dtype(kind).itemsize
        if size > child.LARGEST:
            raise _Lost
        return np.frombuffer(self._read(size), dtype=kind).reshape(shape)

    def _read(self, count: int) -> bytes:
        """Exactly ``count`` bytes; whoever the user's code left behind may hold the pipe open."""
        pipe, parts = cast("IO[bytes]", self.process.stdout).fileno(), []
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        while count:
            dead = self.process.poll() is not None
            if not waiting.poll(0 if dead else LOOK * 1000):
                if dead:
                    raise _Lost
                continue
            part = os.read(pipe, min(count, 1 << 20))
            if not part:
                raise _Lost
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def how_it_ended(self) -> str:
        """In words; ends it where it still runs."""
        try:
            status = self.process.wait(child.GRACE)
        except subprocess.TimeoutExpired:
            status = child.CLOSED
        if status == child.CLOSED:
            return "closed its connection to recsec, or wrote over it"
        if status >= 0:
            return f"ended its process with exit status {status}"
        name = {one.value: one.name for one in signal.Signals}.get(-status, f"signal {-status}")
        memory = ", as when memory runs out" if name == "SIGKILL" else ""
        return f"was ended by {name}{memory}"


class Walled:
    """A function that is called in a process of its own, started with the first call.

    What it prints goes to stderr. What it does to its process is its own affair: no exit, no
    setting and no crash reaches this one. The process ends with this object, or with this process.

    Args:
        module: where the function is; the current directory is searched first.
        function: its name, which may be dotted.
        python: another interpreter, with its own packages; this one if None.
        constants: arguments that follow those of every call.
    """

    def __init__(
        self,
        module: str,
        function: str,
        *,
        python: str | None = None,
        constants: Sequence[Any] = (),
    ) -> None:
        self.name = f"{module}:{function}"
        self.python = python
        self.constants = tuple(constants)
        folder = os.getcwd()
        path = sys.path if folder in sys.path else [folder, *sys.path]
        where = {"all": list(path)} if python is None else {"folder": folder}
        self._hello = {"module": module, "function": function, "path": where}
        self.sources: tuple[Path, ...] = ()
        """The user's own files that its module loaded."""
        self._stamps: list[tuple[int, int]] = []
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Walled({self.name})"

    def open(self) -> None:
        """Start the process and import the module, unless that was done with the files of now.

        Raises:
            TargetError: there is no such function, or its module fails to import.
        """
        with self._lock:
            if self._child is not None and _stamps(self.sources) != self._stamps:
                self._forget()
            self._open()

    def __call__(self, *arguments: Any) -> Any:
        """The answer of the function: what JSON has, and ``Foreign`` for what it has not.

        Args:
            arguments: numbers, text, lists, and int64 arrays.

        Raises:
            TargetError: the function failed, or its process ended.
        """
        arrays = [at for at, one in enumerate(arguments) if isinstance(one, np.ndarray)]
        message = {"arguments": arguments, "arrays": arrays}
        rows = next((len(one) for one in arguments if isinstance(one, list | np.ndarray)), 0)
        about = f"{rows} {'history' if rows == 1 else 'histories'}"
        with self._lock:
            found = self._open()
            if self.constants and not found.told:
                message["constants"] = self.constants
            value = self._ask(found, message, f"while it was asked about {about}")["value"]
            found.told = True
            return value

    def _open(self) -> _Child:
        if self._child is None:
            self._child = self._start()
            self._end = weakref.finalize(self, _end, self._child.process)
            files = self._ask(self._child, self._hello, "while it was imported")["value"]
            self.sources = tuple(Path(file) for file in files)
            self._stamps = _stamps(self.sources)
        return self._child

    def _start(self) -> _Child:
        try:
            return _Child(self.python)
        except OSError as error:
            raise TargetError(
                f"cannot start {self.python or sys.executable}: {error.strerror}",
                hint="name the interpreter of an environment: python:VENV/bin/python:callable:...",
            ) from error

    def _ask(self, found: _Child, message: dict[str, Any], when: str) -> dict[str, Any]:
        try:
            reply = found.ask(message)
        except _Lost:
            how = found.how_it_ended()
            self._forget()
            raise TargetError(
                f"{self.name} {how} {when}",
                hint="its own words, if any, are above; the same command continues",
            ) from None
        except BaseException:  # Ctrl-C: the answer to this call is nobody's any more
            found.process.kill()
            self._forget()
            raise
        if "value" not in reply:
            if reply["stage"] != "call":
                self._forget()
            raise told(self.name, reply, python=self.python)
        return reply

    def _forget(self) -> None:
        """The next call starts another process."""
        self._child = None
        self._end()


@lru_cache(maxsize=KEPT)
def _shared(
    module: str,
    function: str,
    python: str | None,
    constants: tuple[Any, ...],
    folder: str,
    path: tuple[str, ...],
) -> Walled:
    del folder, path  # whoever asks elsewhere gets another process
    return Walled(module, function, python=python, constants=constants)


def walled(
    module: str, function: str, *, python: str | None = None, constants: Sequence[Hashable] = ()
) -> Walled:
    """A function behind the wall; targets of this process that name the same one share it.

    Args:
        module: see ``Walled``.
        function: see ``Walled``.
        python: see ``Walled``.
        constants: see ``Walled``; lists as tuples.

    Raises:
        TargetError: there is no such interpreter or function, or its module fails to import.
    """
    found = _shared(module, function, python, tuple(constants), os.getcwd(), tuple(sys.path))
    found.open()
    return found


def _stamps(files: Iterable[Path]) -> list[tuple[int, int]]:
    """What changes when a file does."""
    found = []
    for file in files:
        try:
            state = file.stat()
        except OSError:
            found.append((0, 0))
        else:
            found.append((state.st_mtime_ns, state.st_size))
    return found


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _threads() -> dict[str, str]:
    """The numerical library computes with as many threads there as here."""
    torch = sys.modules.get("torch")
    return {} if torch is None else {"OMP_NUM_THREADS": str(torch.get_num_threads())}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the connection, wait a little, and end what is left with all that it started."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(child.GRACE)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

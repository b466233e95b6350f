"""The other side of the wall: a process that holds one function of the user and answers calls.

The parent runs this file as a script, so it imports neither recsec nor anything else that takes
time. The interpreter may be another one, of Python 3.8 or newer. Requests come on what was stdin,
answers leave on what was stdout: JSON behind its length in 8 bytes, then the numbers of an array as
they lie in memory. Nothing is pickled. For the user's code stdin is empty and stdout is stderr.
"""

from __future__ import annotations

import faulthandler
import importlib
import io
import json
import os
import queue
import signal
import struct
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

__all__ = [
    "ARRAYS",
    "CLOSED",
    "GRACE",
    "HEADER",
    "LARGEST",
    "answered",
    "failure",
    "packed",
    "safe",
]

HEADER = struct.Struct(">Q")
LARGEST = 1 << 28
"""Bytes of a message; more is no list of items."""

ARRAYS = ("<f4", "<f8", "<i4", "<i8")
"""Kinds of numbers that travel as they are; other arrays travel as JSON."""

LIBRARIES = tuple(
    sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
KEPT: list[Any] = []
"""Arguments that follow those of every call; they are told once."""

FRAMES = 3
TEXT = 2000
CLOSED = 76
"""Exit status where there is nobody to answer to."""

GRACE = 2.0
"""Seconds between the end of the parent, or its last word, and the end of this process."""


def safe(text: str, limit: int = TEXT) -> str:
    r"""Text of others without what a terminal obeys, cut at ``limit`` characters.

    >>> safe("a\x1b[2Jb\u202e")
    'a\\x1b[2Jb\\u202e'
    """
    cut = text if len(text) <= limit else f"{text[:limit]}... ({len(text):,} characters)"
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in cut
    )


def _in_json(value: Any) -> Any:
    """What JSON has no place for: arrays as lists, the rest as what it looks like."""
    if callable(getattr(value, "tolist", None)):  # numpy, torch, pandas
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    return {"shown": safe(repr(value), 80), "kind": type(value).__name__}


def _is_theirs(file: str) -> bool:
    """Whether the user may have written a file: it is of no library, and not this one."""
    installed = any(part in file for part in ("site-packages", "dist-packages", "<frozen"))
    return not installed and not file.startswith(LIBRARIES) and file != __file__


def _frames(error: BaseException, home: str | None) -> list[str]:
    """The end of a traceback: the user's own lines first, then where a library raised."""
    found = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename not in (__file__, home) and not frame.filename.startswith("<frozen")
    ]
    own = [frame for frame in found if _is_theirs(frame.filename)]
    shown = own[-FRAMES:] or found[-FRAMES:]
    if own and found[-1] is not own[-1]:
        shown.append(found[-1])
    return [f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in shown]


def failure(error: BaseException, *, home: str | None = None) -> dict[str, Any]:
    """What the user must know of an exception, as JSON.

    Args:
        error: what their code raised.
        home: a further file of ours whose frames are left out.
    """
    try:
        text = str(error)
    except Exception:  # their class may fail even at this
        text = "(its text cannot be read)"
    found = {
        "kind": type(error).__name__,
        "text": safe(text),
        "frames": [safe(frame) for frame in _frames(error, home)],
    }
    if isinstance(error, SystemExit):
        found["ended"] = safe(f"sys.exit({error.code!r})", 80)
    if isinstance(error, ModuleNotFoundError) and error.name:
        found["module"] = error.name
    return found


def packed(message: Any) -> bytes:
    """A message as it travels.

    Raises:
        ValueError: it is larger than ``LARGEST``, or has no end.
    """
    text = json.dumps(message, default=_in_json, skipkeys=True, separators=(",", ":"))
    data = text.encode()
    if len(data) > LARGEST:
        raise ValueError(f"an answer of {len(data):,} bytes; at most {LARGEST:,} are read")
    return HEADER.pack(len(data)) + data


def _as_array(value: Any) -> Any:
    """The array behind an answer; None where it is none whose numbers travel as they are."""
    if callable(getattr(value, "detach", None)) and callable(getattr(value, "cpu", None)):
        value = value.detach().cpu()
        value = value.float().numpy() if value.is_floating_point() else value.numpy()
    if not hasattr(value, "__array_interface__") or not getattr(value, "ndim", 0):
        return None
    import numpy as np

    found = np.ascontiguousarray(value)
    return found if found.dtype.str in ARRAYS else None


def answered(value: Any) -> bytes:
    """What a function returned, as it travels.

    Raises:
        ValueError: it is larger than ``LARGEST``, or has no end.
    """
    found = _as_array(value)
    if found is None:
        return packed({"value": value})
    if found.nbytes > LARGEST:
        raise ValueError(f"an answer of {found.nbytes:,} bytes; at most {LARGEST:,} are read")
    numbers: bytes = found.tobytes()
    return packed({"value": None, "array": [found.dtype.str, list(found.shape)]}) + numbers


class _Forgiving(io.FileIO):
    """A stream that takes everything: nobody's function fails because nobody reads its prints."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def _printing(number: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(_Forgiving(number, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _channel() -> tuple[BinaryIO, BinaryIO]:
    """Take stdin and stdout away from the user's code, and from what it forks."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.__stdout__ = _printing(1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _printing(2)  # type: ignore[misc]

    def leave() -> None:
        os.close(requests.fileno())
        os.close(answers.fileno())

    os.register_at_fork(after_in_child=leave)
    return requests, answers


def _listen(requests: BinaryIO, inbox: queue.SimpleQueue[Any]) -> None:
    """Hand requests over; at the end of the parent this process ends too, whatever it does."""
    try:
        while len(header := requests.read(HEADER.size)) == HEADER.size:
            inbox.put(json.loads(requests.read(*HEADER.unpack(header))))
    except OSError:  # the user's code closed what it did not open
        pass
    inbox.put(None)
    time.sleep(GRACE)
    os._exit(0)


def _find(module: str, function: str) -> tuple[Callable[..., Any] | None, dict[str, Any]]:
    """The function, or what is told instead of it."""
    try:
        found: Any = importlib.import_module(module)
    except BaseException as error:  # their module may fail in any way, and end the process
        return None, {"failure": failure(error), "stage": "import"}
    for part in function.split("."):
        if not hasattr(found, part):
            return None, {"stage": "absent"}
        found = getattr(found, part)
    if not callable(found):
        return None, {"stage": "value", "shown": safe(repr(found), 80)}
    return found, {"value": _sources()}


def _sources() -> list[str]:
    """The files of the user's that are loaded by now."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return sorted(os.path.abspath(file) for file in files if file and _is_theirs(file))


def _arguments(message: dict[str, Any]) -> list[Any]:
    if "constants" in message:
        KEPT[:] = message["constants"]
    arguments: list[Any] = message["arguments"]
    for place in message["arrays"]:
        import numpy as np

        arguments[place] = np.asarray(arguments[place], dtype=np.int64)
    return [*arguments, *KEPT]


def _answer(function: Callable[..., Any], message: dict[str, Any]) -> bytes:
    try:
        return answered(function(*_arguments(message)))
    except BaseException as error:  # their function may fail in any way, and end the process
        return packed({"failure": failure(error), "stage": "call"})


def _set_path(path: dict[str, Any]) -> None:
    """Where modules are looked for: as in the parent, or first in ``folder`` and then as here."""
    if "all" in path:
        sys.path[:] = path["all"]
        return
    home = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path["folder"], *(one for one in sys.path if os.path.abspath(one) != home)]


def main() -> None:
    """Find the function that the first message names, then answer calls until the parent ends."""
    requests, answers = _channel()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    faulthandler.enable()
    born = os.getpid()
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, inbox), daemon=True).start()
    function = None
    while (message := inbox.get()) is not None:
        if function is None:
            _set_path(message["path"])
            sys.argv[:] = [message["module"]]
            function, told = _find(message["module"], message["function"])
            reply = packed(told)
        else:
            reply = _answer(function, message)
        if os.getpid() != born:  # the user's code forked, and this is the copy
            os._exit(0)
        try:
            answers.write(reply)
            answers.flush()
        except OSError:  # the parent is gone, or the user's code closed what it did not open
            os._exit(CLOSED)
        if function is None:
            return


if __name__ == "__main__":
    main()

"""What went wrong behind the wall, in the words of a target."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from recsec.errors import TargetError

__all__ = ["told"]

GUARD = 'put what runs on its own under: if __name__ == "__main__":'


def told(name: str, reply: Mapping[str, Any], *, python: str | None = None) -> TargetError:
    """The error for a reply that is no value.

    Args:
        name: ``module:function``.
        reply: its ``stage`` (import, absent, value, call) and, of an exception, ``failure``.
        python: the interpreter, where it is another one.
    """
    module, _, function = name.partition(":")
    found: Mapping[str, Any] = reply.get("failure", {})
    if reply["stage"] == "absent":
        return TargetError(f"the module {module!r} has no {function!r}")
    if reply["stage"] == "value":
        return TargetError(f"{function!r} of {module!r} cannot be called: {reply['shown']}")
    importing = reply["stage"] == "import"
    missing = found.get("module", "")
    if importing and missing and f"{module}.".startswith(f"{missing}."):
        return TargetError(
            f"there is no module {module!r} in {os.getcwd()} or on the Python path",
            hint="run recsec in the folder of the module, or install its package",
        )
    places = "".join(f"\n  {frame}" for frame in found["frames"])
    if missing and python is not None:
        return TargetError(
            f"{python} has no package {missing!r}, which {module} needs{places}",
            hint=f"{python} -m pip install {missing.partition('.')[0]}",
        )
    if "ended" in found:
        when = "while it was imported" if importing else "instead of answering"
        return TargetError(
            f"{module if importing else name} ended the process {when}: {found['ended']}{places}",
            hint=GUARD if importing else "let it return, or raise an error",
        )
    what = f"{module} fails to import" if importing else f"{name} failed"
    return TargetError(f"{what}\n{found['kind']}: {found['text']}{places}")

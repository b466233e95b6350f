"""How many listed ids the catalog lacked, kept beside a transcript: ``unknown.json``.

An interrupted collection goes on counting where it was, so its report is the same.
"""

from __future__ import annotations

import json
from pathlib import Path

from recsec.errors import RunError
from recsec.runs import atomic_write_text
from recsec.targets.wire import Unknown, unknown_items

__all__ = ["UnknownCount", "recorded_unknown"]

FILE = "unknown.json"


class UnknownCount:
    """The count of a folder while a target is asked into it.

    Args:
        folder: of the transcript; None where nothing is kept.
        target: who lists.
    """

    def __init__(self, folder: Path | None, target: object) -> None:
        self._folder = folder
        self._target = target
        self._before = Unknown() if folder is None else recorded_unknown(folder)
        self._kept = self._before

    def keep(self) -> None:
        """Write down what changed since the last time; without unknown ids there is no file."""
        found = self._before + unknown_items(self._target)
        if self._folder is None or not found.unknown or found == self._kept:
            return
        told = {"listed": found.listed, "unknown": found.unknown, "example": found.example}
        atomic_write_text(self._folder / FILE, json.dumps(told) + "\n")
        self._kept = found


def recorded_unknown(folder: Path) -> Unknown:
    """What a folder counted; nothing where no id was unknown.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Unknown(int(told["listed"]), int(told["unknown"]), str(told["example"]))
    except FileNotFoundError:
        return Unknown()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(
            f"{path} is damaged", hint="use another --out, or delete that file"
        ) from error

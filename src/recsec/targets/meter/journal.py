"""What was asked and answered since the last segment: lines appended as it happens.

    {"sent": 128}                       requests before this journal, first line
    {"ask": 4}                          about to be asked
    {"got": {"call": [..], ..}, "requests": 4}     answered; the columns of a segment
    {"requests": 6}                     failed after so many requests, retries included

Each line begins with the CRC-32 of the rest. A line reaches the system before the next request
goes out, so a kill loses at most the answers under way, and their number is known: they were
announced. Answers reach the disk at least every second: a power cut may lose the last second's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from recsec.data.catalog import Catalog
from recsec.errors import RunError
from recsec.runs import atomic_write_text, check_fence
from recsec.targets.meter.segments import AGAIN, ROOM, Calls

__all__ = ["Journal"]

NAME = "journal.jsonl"
SYNC = 1.0
"""Seconds after which an answer must have reached the disk."""


def _line(value: dict[str, Any]) -> str:
    text = json.dumps(value, separators=(",", ":"))
    return f"{crc32(text.encode()):08x} {text}\n"


def _columns(calls: Calls, catalog: Catalog) -> dict[str, Any]:
    """The columns of a segment as JSON has them."""
    items = catalog.external(calls.items.astype(np.int64))
    return {
        "call": calls.call.tolist(),
        "account": calls.account,
        "parent": [None if parent < 0 else parent for parent in calls.parent.tolist()],
        "items": [items[start:end] for start, end in pairwise(calls.offsets.tolist())],
        "k": calls.k.tolist(),
        "answer": [catalog.external(row) for row in calls.answers.astype(np.int64)],
    }


class Journal:
    """The journal of one folder, open for writing; whoever writes holds the folder's lock.

    Attributes:
        sent: requests that went to the target by any process, as far as is known: those of a
            chunk under way when its process was killed count as sent.
        left: columns of what the process before answered and did not put into a segment.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.sent = 0
        self.left: list[dict[str, Any]] = []
        self._under_way = 0
        self._synced = time.monotonic()
        for line in self._lines():
            self._count(line)
            if "got" in line:
                self.left.append(line["got"])
        self._file: int | None = None

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The lines; one that a kill cut short is left out."""
        if not self.path.exists():
            return
        lines = self.path.read_bytes().split(b"\n")[:-1]
        for number, line in enumerate(lines, 1):
            try:
                if int(line[:8], 16) != crc32(line[9:]):
                    raise ValueError("its check sum is another")
                yield json.loads(line[9:])
            except ValueError as error:
                raise RunError(
                    f"line {number} of {self.path} is damaged: {error}",
                    hint=AGAIN,
                ) from error

    def _count(self, line: dict[str, Any]) -> None:
        if "sent" in line:
            self.sent = line["sent"]
        elif "ask" in line:
            self._under_way = line["ask"]
            self.sent += self._under_way
        else:
            self.sent += line["requests"] - self._under_way
            self._under_way = 0

    def ask(self, count: int) -> None:
        """So many histories are about to be asked."""
        self._write({"ask": count})

    def got(self, calls: Calls, catalog: Catalog, requests: int) -> None:
        """They were answered, with so many requests."""
        self._write({"got": _columns(calls, catalog), "requests": requests})

    def failed(self, requests: int) -> None:
        """They were not answered, after so many requests."""
        self._write({"requests": requests})

    def restart(self, *, at_least: int = 0) -> None:
        """Begin anew: everything is in segments.

        Args:
            at_least: calls that are recorded; a journal that was deleted forgets what was sent.

        Raises:
            RunError: the folder cannot be written.
        """
        self.close()
        self.sent, self._under_way = max(self.sent, at_least), 0
        self.left.clear()
        try:
            atomic_write_text(self.path, _line({"sent": self.sent}))
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, value: dict[str, Any]) -> None:
        check_fence()
        try:
            if self._file is None:
                self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            content = memoryview(_line(value).encode())
            while content:
                content = content[os.write(self._file, content) :]
            if "ask" not in value and time.monotonic() - self._synced >= SYNC:
                os.fsync(self._file)
                self._synced = time.monotonic()
        except OSError as error:
            raise self._unwritable(error) from error
        self._count(value)

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(
            f"cannot record calls in {self.path.parent}: {error.strerror or error}",
            hint=ROOM,
        )

"""Records and fields of separated text: where each begins, and which do not fit the header.

Every byte is looked at, also those of columns that are not read: one stray separator moves all
fields behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Record", "line_of", "misfits", "record"]

STEP = 2**17
"""Bytes that are looked at together; more would not stay in a processor's cache."""
NEWLINE, RETURN, QUOTE = b'\n\r"'

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Record:
    """One row of text.

    Attributes:
        start: its first byte.
        end: the line end after it, or the end of the text.
        fields: how many it has; 0 where its quotation marks do not fit.
    """

    start: int
    end: int
    fields: int


def misfits(
    data: bytes | memoryview, *, sep: str, width: int, quoted: bool, ragged: bool = False
) -> list[Record]:
    """The records that have another number of fields than ``width``; blank lines are none.

    Args:
        data: the text in UTF-8, lines end in a newline.
        sep: the separator.
        width: fields of the header.
        quoted: whether quotation marks hold fields together.
        ragged: surplus fields fit too.
    """
    found: list[Record] = []
    for start, chunk, ends, seps, stray in _chunks(data, sep, quoted=quoted):
        if len(stray) == 0 and _regular(ends, seps, width):
            continue
        fields = np.bincount(np.searchsorted(ends, seps), minlength=len(ends)) + 1
        begins = np.concatenate([[0], ends[:-1] + 1])
        wrong = (fields < width) if ragged else (fields != width)
        fields[np.searchsorted(ends, stray)] = 0
        for row in np.flatnonzero(wrong | (fields == 0)):
            begin, end = int(begins[row]), int(ends[row])
            if chunk[begin:end].tobytes().strip():
                found.append(Record(start + begin, start + end, int(fields[row])))
    return found


def record(data: bytes | memoryview, row: int, *, quoted: bool) -> Record | None:
    """The record with this number, blank lines counted; ``fields`` is not counted and 1."""
    seen = 0
    for start, _, ends, _, _ in _chunks(data, ",", quoted=quoted):
        if row < seen + len(ends):
            place = row - seen
            begin = 0 if place == 0 else int(ends[place - 1]) + 1
            return Record(start + begin, start + int(ends[place]), 1)
        seen += len(ends)
    return None


def line_of(data: bytes, place: int) -> int:
    """The number of the line, from 1, in which this byte lies."""
    return data.count(b"\n", 0, place) + 1


def _regular(ends: Places, seps: Places, width: int) -> bool:
    """Whether each record has ``width - 1`` separators; fast, and says no to blank lines."""
    if len(seps) != (width - 1) * len(ends):
        return False
    if width == 1:
        return True
    rows = seps.reshape(-1, width - 1)
    return bool((rows[:, -1] < ends).all() and (rows[1:, 0] > ends[:-1]).all())


def _chunks(
    data: bytes | memoryview, sep: str, *, quoted: bool
) -> Iterator[tuple[int, Bytes, Places, Places, Places]]:
    """Whole records: where they start, their bytes, ends, separators and stray quotation marks."""
    whole = np.frombuffer(data, dtype=np.uint8)
    start, size = 0, STEP
    while start < len(whole):
        chunk = whole[start : start + size]
        last = start + size >= len(whole)
        ends = np.flatnonzero(chunk == NEWLINE)
        seps = np.flatnonzero(chunk == ord(sep))
        stray = ends[:0]
        if quoted:
            quotes = np.flatnonzero(chunk == QUOTE)
            ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
            seps = seps[np.searchsorted(quotes, seps) % 2 == 0]
            stray = _stray(chunk, quotes, sep)
        if not last and len(ends) == 0:
            size *= 2
            continue
        length = len(chunk) if last else int(ends[-1]) + 1
        chunk, seps, stray = chunk[:length], seps[seps < length], stray[stray < length]
        if last and (len(ends) == 0 or ends[-1] != length - 1):
            ends = np.append(ends, length)
        yield start, chunk, ends, seps, stray
        start, size = start + length, STEP


def _stray(chunk: Bytes, quotes: Places, sep: str) -> Places:
    """Quotation marks that neither open nor close a field, nor stand for one inside of it."""
    around = np.array([NEWLINE, ord(sep), QUOTE], dtype=np.uint8)
    opening, closing = quotes[::2], quotes[1::2]
    before = chunk[np.maximum(opening - 1, 0)]
    after = chunk[np.minimum(closing + 1, len(chunk) - 1)]
    opens = (opening == 0) | np.isin(before, around)
    closes = (closing == len(chunk) - 1) | np.isin(after, np.append(around, RETURN))
    stray = np.concatenate([opening[~opens], closing[~closes]])
    if len(quotes) % 2:  # the last one opens and nothing closes it
        stray = np.append(stray, quotes[-1])
    return np.sort(stray)

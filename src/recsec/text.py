"""Text as it is shown: what is counted, and what comes from outside."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["counted", "placed", "visible"]

_STEERS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line separators and bidirectional marks
    "\ud800-\udfff]"  # halves of characters, which no file and no stream can hold
)


def counted(number: int, noun: str) -> str:
    """A number and what it counts.

    >>> counted(1, "attack"), counted(1200, "API call")
    ('1 attack', '1,200 API calls')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def placed(place: Iterable[object], what: str) -> str:
    """A fault and where it is; without a place it is of the whole.

    >>> placed(("headers", "X-Key"), "no text"), placed((), "give one of two")
    ('headers.X-Key: no text', 'give one of two')
    """
    where = ".".join(map(str, place))
    return f"{where}: {what}" if where else what


def visible(text: str) -> str:
    r"""``text`` with all that would steer a terminal, or reorder what is read, as ``\uXXXX``.

    Tab, line feed and whatever has a shape stay. Of JSON it is JSON still, with the same meaning.

    >>> visible("a\x1b[2Jb\u202ec\r\n")
    'a\\u001b[2Jb\\u202ec\n'
    """
    text = text.replace("\r\n", "\n")
    return _STEERS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)

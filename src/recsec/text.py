"""Text from outside, spelled so that it can be shown."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["visible"]

_STEERS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line separators and bidirectional marks
    "\ud800-\udfff]"  # halves of characters, which no file and no stream can hold
)


def visible(text: str) -> str:
    r"""``text`` with all that would steer a terminal, or reorder what is read, as ``\uXXXX``.

    Tab, line feed and whatever has a shape stay. Of JSON it is JSON still, with the same meaning.

    >>> visible("a\x1b[2Jb\u202ec\r\n")
    'a\\u001b[2Jb\\u202ec\n'
    """
    text = text.replace("\r\n", "\n")
    return _STEERS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)

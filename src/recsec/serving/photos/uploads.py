"""Photos that strangers send: bounded by bytes, pixels and type, and in what is held of all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import numpy as np
import numpy.typing as npt

from recsec.data.photos.files import Fault, ResizeRule, resize_bytes, strict_pillow
from recsec.serving.batching import Busy

__all__ = ["BYTES", "KINDS", "Held", "NoPhoto", "decoded"]

BYTES: Final = 8 * 1024 * 1024
"""Bytes of a photo."""

KINDS: Final = {
    "image/jpeg": ("JPEG", 25_000_000),
    "image/png": ("PNG", 12_000_000),
    "image/webp": ("WEBP", 12_000_000),
}
"""What a photo may be, by content type: the only decoder that is reached, and most pixels.

Phones make JPEGs of 24 million pixels, which are decoded at an eighth of their size where that is
enough. The others are decoded whole, and a PNG of 16 bits costs ten times an ordinary one.
"""

TOGETHER: Final = 128 * 1024 * 1024
"""Bytes of all photos that are held at a time."""


class NoPhoto(Exception):  # noqa: N818 - an answer
    """What was sent cannot be read as a photo.

    Attributes:
        huge: it has too many bytes or pixels; else it is broken, or something else.
    """

    def __init__(self, *, huge: bool) -> None:
        super().__init__("too large" if huge else "no photo")
        self.huge = huge


class Held:
    """Reads bodies, and bounds what is held of all of them: who sends slowly holds little."""

    def __init__(self, most: int = TOGETHER) -> None:
        self._left = most

    async def read(self, body: AsyncIterator[bytes], most: int) -> bytes:
        """A body; ``let_go`` gives its place back.

        Raises:
            NoPhoto: it has more than ``most`` bytes.
            Busy: too many bytes of others are held.
        """
        parts, size = [], 0
        try:
            async for part in body:
                if size + len(part) > most:
                    raise NoPhoto(huge=True)
                if len(part) > self._left:
                    raise Busy
                self._left -= len(part)
                size += len(part)
                parts.append(part)
        except BaseException:
            self._left += size
            raise
        return b"".join(parts)

    def let_go(self, body: bytes) -> None:
        """A body that was read is held no longer."""
        self._left += len(body)


def decoded(data: bytes, kind: str, size: int, rule: ResizeRule) -> npt.NDArray[np.uint8]:
    """A photo as a square ``(3, size, size)`` uint8, as the catalog's own are made.

    Args:
        data: the file.
        kind: its content type, one of ``KINDS``; a file of another type is refused unread.
        size: side of the square.
        rule: how a photo becomes one.

    Raises:
        NoPhoto: it is none, broken, of another type, or has too many pixels.
    """
    format, largest = KINDS[kind]
    with strict_pillow():
        found = resize_bytes(data, size, rule, formats=(format,), largest=largest)
    if isinstance(found, Fault):
        raise NoPhoto(huge=found.kind == "huge")
    return found

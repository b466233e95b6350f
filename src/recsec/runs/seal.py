"""A check sum that travels inside the file it is of, in the metadata of its format.

``SEAL`` followed by 64 zeros goes into the metadata; ``sealed`` replaces the zeros by the SHA-256
of the whole content with them. So the file appears with its sum in one step, and any other reader
of the format reads it as ever.
"""

from __future__ import annotations

import hashlib

__all__ = ["PLACEHOLDER", "SEAL", "intact", "sealed", "sealed_parts"]

SEAL = "recsec-sha256:"
DIGITS = 64
PLACEHOLDER = SEAL + "0" * DIGITS


def _place(content: bytes, *, footer: bool) -> int:
    """Where the digits begin; below 0 without a seal."""
    mark = SEAL.encode()
    at = content.rfind(mark) if footer else content.find(mark)
    return -1 if at < 0 else at + len(mark)


def _sum(content: bytes, at: int, *rest: bytes | memoryview) -> bytes:
    told = hashlib.sha256(memoryview(content)[:at])
    told.update(b"0" * DIGITS)
    for part in (memoryview(content)[at + DIGITS :], *rest):
        told.update(part)
    return told.hexdigest().encode()


def sealed(content: bytes, *, footer: bool) -> bytes:
    """The content with its sum in place of the zeros.

    Args:
        content: holds ``PLACEHOLDER`` in its metadata.
        footer: the metadata stands at the end of the file (Parquet), or at its beginning
            (safetensors): data that happen to hold the same words are not mistaken for it.

    >>> sealed(b"facts " + PLACEHOLDER.encode(), footer=True)[:28]
    b'facts recsec-sha256:1b3ed7d3'
    """
    return b"".join(sealed_parts(content, footer=footer))


def sealed_parts(
    content: bytes, *rest: bytes | memoryview, footer: bool
) -> tuple[bytes | memoryview, ...]:
    """``sealed`` in pieces to be written one after the other: much content is not copied.

    Args:
        content: holds ``PLACEHOLDER`` in its metadata.
        rest: what follows it.
        footer: see ``sealed``.

    Raises:
        ValueError: the content has no place for a seal.
    """
    at = _place(content, footer=footer)
    if at < 0:
        raise ValueError("the content has no place for a seal")
    view = memoryview(content)
    return view[:at], _sum(content, at, *rest), view[at + DIGITS :], *rest


def intact(content: bytes, *, footer: bool, ours: bool = False) -> bool:
    """Whether the sum is that of the content.

    Args:
        content: of the file.
        footer: see ``sealed``.
        ours: nobody else writes such files: one without a seal is damaged. Of those that others
            write too it cannot be told.

    >>> kept = sealed(b"facts " + PLACEHOLDER.encode(), footer=True)
    >>> intact(kept, footer=True), intact(kept.replace(b"facts", b"fakts"), footer=True)
    (True, False)
    """
    at = _place(content, footer=footer)
    return not ours if at < 0 else content[at : at + DIGITS] == _sum(content, at)

"""From the bytes of a text file to UTF-8 with one line end."""

from __future__ import annotations

import codecs

from recsec.errors import DataError

__all__ = ["decode", "is_binary", "plain_utf8", "unknown_encoding"]

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; UTF-32's little-endian one begins with UTF-16's, so it is tried first."""


def plain_utf8(data: bytes, *, name: str) -> bytes:
    """UTF-8 without a byte order mark, each line ended by one newline.

    UTF-8 is not checked here: whoever reads the text does.

    Raises:
        DataError: it is UTF-16 or UTF-32 without a mark, something else with zero bytes, or
            damaged.
    """
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    if mark == codecs.BOM_UTF8:
        data = data[len(mark) :]
    elif mark:
        try:
            data = data.decode(_MARKS[mark]).encode()
        except (UnicodeDecodeError, UnicodeEncodeError) as error:
            raise DataError(f"{name} begins like {_MARKS[mark]} and is damaged: {error}") from error
    if b"\0" in data:
        raise unknown_encoding(name)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def decode(data: bytes, *, name: str) -> str:
    """Text in UTF-8, or else Latin-1 (in which MovieLens writes its titles).

    Latin-1 text with an accent is practically never valid UTF-8, so the order decides rightly.

    Raises:
        DataError: neither: the text holds zero bytes, as UTF-16 does.
    """
    if is_binary(data):
        raise unknown_encoding(name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def is_binary(data: bytes) -> bool:
    """Zero bytes do not occur in UTF-8 or Latin-1 text; UTF-16 is full of them."""
    return b"\0" in data[:4096] or data[:2] in (b"\xff\xfe", b"\xfe\xff")


def unknown_encoding(name: str) -> DataError:
    """The error for text that is in no encoding we read."""
    return DataError(
        f"{name} is in an unknown encoding, neither UTF-8 nor UTF-16 with a byte order mark",
        hint=f"convert it: iconv -f UTF-16LE -t UTF-8 {name}",
    )

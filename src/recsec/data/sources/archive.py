"""Reading members of a zip archive that nobody vouches for."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from recsec.errors import DataError

__all__ = ["Archive", "open_archive"]

LARGEST_MEMBER = 4 * 2**30
"""Bytes. The largest table we know of (ML-25M's ratings) unpacks to 0.7 GB."""
LARGEST_RATIO = 200
"""Unpacked over packed size; text tables reach about 10."""


@dataclass(frozen=True, eq=False)
class Archive:
    """An open archive whose member names are known to be harmless. Nothing is unpacked to disk."""

    path: Path
    zip: zipfile.ZipFile

    def find(self, member: str) -> str | None:
        """The full name of the member called ``member``, in whatever folder it lies."""
        names = [name for name in self.zip.namelist() if PurePosixPath(name).name == member]
        return min(names, key=len) if names else None

    def require(self, member: str) -> str:
        """``find``, or an error that says what the archive holds.

        Raises:
            DataError: there is no such member.
        """
        name = self.find(member)
        if name is None:
            have = ", ".join(sorted(self.zip.namelist())[:8]) or "nothing"
            raise DataError(f"{self.path} has no member {member}; it holds {have}")
        return name

    def read(self, member: str) -> bytes:
        """The content of the member called ``member``.

        Raises:
            DataError: it is absent, cut short, damaged or a decompression bomb.
        """
        return self.read_exact(self.require(member))

    def read_exact(self, name: str) -> bytes:
        """The content of the member whose full name this is.

        Raises:
            DataError: it is absent, cut short, damaged or a decompression bomb.
        """
        try:
            info = self.zip.getinfo(name)
        except KeyError as error:
            raise DataError(f"{self.path} has no member {name}") from error
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > LARGEST_MEMBER or (ratio > LARGEST_RATIO and info.file_size > 2**20):
            raise DataError(
                f"{self.path}: {name} would unpack to {info.file_size:,} bytes, {ratio:,.0f} times "
                f"its packed size; refused as a decompression bomb"
            )
        try:
            return self.zip.read(info)
        except Exception as error:  # zipfile and its decoders raise whatever they stumble over
            raise DataError(f"{self.path}: {name} is damaged: {error}", hint=_AGAIN) from error


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a zip archive after checking its directory of members.

    Raises:
        DataError: not a zip archive, cut short, or a member's path leads out of it.
    """
    try:
        file = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error
    except Exception as error:  # BadZipFile, and whatever else its directory makes zipfile raise
        size = path.stat().st_size
        raise DataError(
            f"{path} is not a whole zip archive ({size:,} bytes; {error}): it was cut short, "
            "or is something else",
            hint=_AGAIN,
        ) from error
    with file:
        for info in file.infolist():
            _check_name(path, info)
        yield Archive(path, file)


_AGAIN = "fetch the archive again, or pass another copy with --from PATH"


def _check_name(path: Path, info: zipfile.ZipInfo) -> None:
    """Refuse names that lead out of the folder into which somebody unpacks them, and empty ones."""
    name = info.orig_filename.replace("\\", "/")
    if not name or not info.filename:
        raise DataError(f"{path} holds a member without a name; refused", hint=_AGAIN)
    escapes = name.startswith("/") or ".." in name.split("/") or name[1:2] == ":"
    if escapes or stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(f"{path} holds {name!r}, a path that leads out of the archive; refused")

"""Which files a table is, and how each is opened."""

from __future__ import annotations

import os
from pathlib import Path

from recsec.data.dialect import Dialect
from recsec.data.sources.tables.binary import Typed, open_json_lines, open_parquet
from recsec.data.sources.tables.text import Text, open_text
from recsec.errors import DataError

__all__ = [
    "JSON_LINES",
    "PARQUET",
    "SUFFIXES",
    "TEXT",
    "Part",
    "holds_table",
    "open_part",
    "parts_of",
]

TEXT = (".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".inter", ".item")
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
SUFFIXES = (*TEXT, *JSON_LINES, *PARQUET)

Part = Text | Typed


def parts_of(path: Path) -> list[Path]:
    """The file, or the files of a table in a folder: those of one kind, sorted by name.

    Names that begin with a dot or an underscore are left out, as Spark's ``_SUCCESS``.

    Raises:
        DataError: there is no such file, or the folder holds no table or several kinds of files.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"there is no file {path}", hint="recsec data list names the known sets")
    found = _tables(path)
    kinds = {file.suffix.lower() for file in found}
    if len(kinds) != 1:
        held = ", ".join(sorted(kinds)) or "none"
        raise DataError(
            f"the folder {path} holds {len(found)} tables ({held}); expected files of one kind",
            hint="name one file, or a folder of Parquet files",
        )
    return found


def holds_table(folder: Path, images: tuple[str, ...]) -> bool:
    """Whether a folder is a table in parts: tables, no images and no labels of images."""
    tables = False
    for _, _, names in os.walk(folder):
        for name in map(str.lower, names):
            if name.endswith(images) or name.startswith(("labels.", "styles.")):
                return False
            tables = tables or (name.endswith(SUFFIXES) and name[0] not in "._")
    return tables


def open_part(
    source: Path | bytes,
    *,
    name: str,
    wanted: tuple[str, ...],
    dialect: Dialect,
    ragged: bool = False,
) -> Part:
    """Open one file by the suffix of its name.

    Args:
        source: the file, or what it holds.
        name: what to call it in errors.
        wanted: column names that help to tell the separator.
        dialect: what the user says.
        ragged: surplus fields of text are cut off.

    Raises:
        DataError: empty, damaged, or of an unknown format.
    """
    suffix = Path(name).suffix.lower()
    if isinstance(source, Path) and source.stat().st_size == 0:
        raise DataError(f"{name} is empty")
    if suffix in PARQUET:
        return open_parquet(source, name=name)
    if suffix not in SUFFIXES:
        raise DataError(
            f"cannot tell the format of {name}; known are {', '.join(SUFFIXES)}",
            hint="for an archive of a known set: recsec data get NAME --from PATH",
        )
    try:
        data = source.read_bytes() if isinstance(source, Path) else source
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror}") from error
    if suffix in JSON_LINES:
        return open_json_lines(data, name=name)
    return open_text(data, name=name, wanted=wanted, dialect=dialect, ragged=ragged)


def _tables(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        hidden = any(part.startswith((".", "_")) for part in inside)
        if not hidden and path.suffix.lower() in SUFFIXES and path.is_file():
            found.append(path)
    return found

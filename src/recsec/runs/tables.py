"""Tables on disk: Parquet files that appear whole and know their own check sum."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsec.errors import RunError
from recsec.runs.atomic import atomic_write_bytes
from recsec.runs.seal import PLACEHOLDER, intact, sealed_parts

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read_table", "write_table"]


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write ``path`` whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="lz4", metadata={"recsec": PLACEHOLDER})
    atomic_write_bytes(path, sealed_parts(buffer.getvalue(), footer=True))


def read_table(
    path: Path, *, columns: Sequence[str] = (), hint: str | None = None, ours: bool = True
) -> pl.DataFrame:
    """What ``write_table`` wrote.

    Polars is not asked about anything else: damaged Parquet may end the process.

    Args:
        path: the file.
        columns: which columns, in this order; all of them by default.
        hint: what to do about a damaged file.
        ours: nobody else writes such files; see ``intact``.

    Raises:
        RunError: it is missing, damaged, or lacks a column.
    """
    import polars as pl

    try:
        content = path.read_bytes()
        if not intact(content, footer=True, ours=ours):
            raise RunError(f"{path} is damaged: its check sum is another", hint=hint)
        table = pl.read_parquet(content)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise RunError(
            f"{path} cannot be read: {str(error).splitlines()[0] if str(error) else error!r}",
            hint=hint,
        ) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise RunError(f"{path} lacks the columns {', '.join(missing)}", hint=hint)
    return table.select(columns) if columns else table

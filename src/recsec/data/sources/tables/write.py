"""Tables written by the suffix of their name, so that the one reader reads them again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import polars as pl

from recsec.errors import ConfigError
from recsec.runs import atomic_write_bytes

__all__ = ["WRITTEN", "check_suffix", "write_table"]

WRITTEN = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def check_suffix(path: Path) -> None:
    """Refuse a name that says no format; to be called before the work.

    Raises:
        ConfigError: the suffix is none of ``WRITTEN``.
    """
    if path.suffix.lower() not in WRITTEN:
        raise ConfigError(
            f"cannot write {path}: expected a name ending in {', '.join(WRITTEN)}",
            hint=f"--out {path.with_suffix('.csv')}",
        )


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a table; it appears whole or not at all. Lists become JSON arrays in CSV.

    Raises:
        ConfigError: the suffix is none of ``WRITTEN``.
        OSError: the disk is full or the folder cannot be written.
    """
    check_suffix(path)
    suffix, buffer = path.suffix.lower(), io.BytesIO()
    if suffix == ".parquet":
        table.write_parquet(buffer, compression="lz4")
    elif suffix in (".jsonl", ".ndjson"):
        table.write_ndjson(buffer)
    else:
        lists = [name for name, kind in table.schema.items() if isinstance(kind, pl.List)]
        flat = table.with_columns(
            pl.Series(name, [json.dumps(one, ensure_ascii=False) for one in table[name].to_list()])
            for name in lists
        )
        flat.write_csv(buffer, separator="\t" if suffix == ".tsv" else ",")
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(path, buffer.getvalue())

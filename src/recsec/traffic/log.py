"""A query log as detectors read it: the one schema, its faults counted, histories rebuilt.

The schema is that of the meter's transcript (``recsec.targets.meter.segments``): ``call``,
``account``, ``parent``, ``items``, ``k``, ``answer``. A log may also have ``time``, seconds since
1970.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from recsec import runs
from recsec.data.catalog import Catalog
from recsec.data.sources.tables import (
    WRITTEN,
    Dialect,
    Field,
    OpenTable,
    choose,
    open_table,
    parts_of,
    write_table,
)
from recsec.errors import DataError
from recsec.targets.meter.segments import COLUMNS, Calls, encode_calls, ranges
from recsec.types import IntArray

__all__ = [
    "FIELDS",
    "NOBODY",
    "TORN",
    "UNKNOWN",
    "QueryLog",
    "choose_columns",
    "known_ids",
    "read_log",
    "write_log",
]

FIELDS = {
    "call": Field("whole", needed=False, strict=True),
    "account": Field("id", filled=False),
    "parent": Field("whole", needed=False, filled=False, strict=True),
    "items": Field("ids", filled=False),
    "k": Field("whole", needed=False, filled=False, strict=True),
    "answer": Field("ids", needed=False, filled=False),
    "time": Field("time", needed=False, filled=False, strict=True),
}

NOBODY = "queries without an account, left out: {:,}"
UNKNOWN = "ids that the catalog lacks, left out: {:,}"
TORN = "queries that extend one that the log lacks: {:,}"


@dataclass(frozen=True, eq=False)
class QueryLog:
    """Queries of many accounts in the order of asking.

    Attributes:
        catalog: the items.
        calls: the columns, catalog indices; sorted by call number.
        times: ``(n,)`` int64 seconds since 1970; None where the log has order only.
        faults: what was wrong with the file and what was done, with counts.
    """

    catalog: Catalog
    calls: Calls
    times: IntArray | None = None
    faults: tuple[str, ...] = ()

    def __len__(self) -> int:
        """n, the number of queries."""
        return len(self.calls)

    @cached_property
    def parents(self) -> IntArray:
        """``(n,)`` row that each query extends, -1 for none."""
        place = np.searchsorted(self.calls.call, self.calls.parent)
        inside = np.minimum(place, max(len(self) - 1, 0))
        known = (self.calls.parent >= 0) & (self.calls.call[inside] == self.calls.parent)
        return np.where(known & (inside < np.arange(len(self))), inside, -1)

    @cached_property
    def lengths(self) -> IntArray:
        """``(n,)`` items of each query's whole history."""
        total = np.diff(self.calls.offsets).astype(np.int64)
        above = self.parents.copy()
        while (above >= 0).any():  # pointer doubling: as many rounds as the depth has bits
            open_ = above >= 0
            total = total + np.where(open_, total[above], 0)
            above = np.where(open_, above[above], -1)
        return total

    def histories(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Whole histories of some rows: flat items, oldest first, and offsets ``(len + 1,)``."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        flat = np.zeros(int(offsets[-1]), dtype=np.int64)
        ends, at = offsets[1:].copy(), rows.copy()
        added = np.diff(self.calls.offsets)
        alive = np.arange(len(rows))
        while len(alive):
            sizes = added[at]
            ends[alive] -= sizes
            flat[ranges(ends[alive], sizes)] = self.calls.items[
                ranges(self.calls.offsets[at], sizes)
            ]
            above = self.parents[at]
            alive, at = alive[above >= 0], above[above >= 0]
        return flat, offsets

    def select(self, rows: IntArray, *, accounts: Sequence[str] | None = None) -> QueryLog:
        """Some queries with whole histories, numbered anew from 0.

        Args:
            rows: ``(m,)`` row numbers, in the order of asking.
            accounts: other names for the accounts of these rows.
        """
        items, offsets = self.histories(rows)
        names = [self.calls.account[row] for row in rows] if accounts is None else list(accounts)
        calls = Calls(
            call=np.arange(len(rows)),
            account=names,
            parent=np.full(len(rows), -1),
            items=items.astype(np.int32),
            offsets=offsets,
            k=self.calls.k[rows],
            answers=self.calls.answers[rows],
        )
        return QueryLog(self.catalog, calls, None if self.times is None else self.times[rows])

    def blocks(self, size: int) -> Iterator[IntArray]:
        """Row numbers in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield np.arange(start, min(start + size, len(self)))


def write_log(path: Path, log: QueryLog) -> Path:
    """Write a log as one file; it appears whole or not at all.

    Args:
        path: a file ending as ``write_table`` knows it (``.parquet``, ``.csv``, ..), or a folder,
            in which a Parquet file gets the name of a segment, so that ``Transcript.open`` reads
            it too.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    frame = encode_calls(log.calls, log.catalog)
    if log.times is not None:
        frame = frame.with_columns(pl.Series("time", log.times))
    if path.suffix.lower() not in WRITTEN:
        path = path / f"calls-{0:010}-{max(len(log) - 1, 0):010}.parquet"
        runs.write_table(path, frame)
    else:
        write_table(path, frame)
    return path


def choose_columns(
    path: Path, columns: Mapping[str, str] | None, dialect: Dialect | None
) -> tuple[OpenTable, list[Path], dict[str, str]]:
    """The table of a log, its files, and its columns by our names.

    Raises:
        DataError: it is missing, broken or lacks a column.
        ConfigError: a key of ``columns`` that is not ours.
    """
    segments = sorted(path.glob("calls-*.parquet")) if path.is_dir() else []
    if not path.exists():
        raise DataError(
            f"{path} holds no query log: expected a table, or a folder of calls-*.parquet",
            hint="recsec data traffic writes one; so does every attack, under transcript/",
        )
    hint = f"columns are {', '.join(COLUMNS)}, and time if known"
    files = segments or parts_of(path)
    table = open_table(path, files=files, wanted=COLUMNS, dialect=dialect)
    return table, files, choose(table.name, table.columns, FIELDS, columns or {}, hint=hint)


def known_ids(column: pl.Series, catalog: Catalog) -> tuple[IntArray, IntArray, int]:
    """Flat catalog indices, row lengths and the number of ids left out as unknown."""
    ids = catalog.table["id"]
    rows = pl.DataFrame({"row": np.arange(len(column)), "id": column}).explode("id").drop_nulls()
    if rows["id"].dtype == pl.Null:
        return np.zeros(0, np.int64), np.zeros(len(column), np.int64), 0
    if rows["id"].dtype != ids.dtype:
        rows = rows.with_columns(pl.col("id").cast(ids.dtype, strict=False))
    table = pl.DataFrame({"id": ids, "index": np.arange(1, len(ids) + 1)})
    found = rows.join(table, on="id", how="left", maintain_order="left")
    index = found["index"].drop_nulls().to_numpy().astype(np.int64)
    kept = found.filter(pl.col("index").is_not_null())["row"].to_numpy()
    return index, np.bincount(kept, minlength=len(column)), len(rows) - len(index)


def _ordered(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Rows in the order of asking, each once, with an account."""
    faults = []
    rows = frame.height
    frame = frame.filter(pl.col("account").is_not_null())
    if rows - frame.height:
        faults.append(NOBODY.format(rows - frame.height))
    if "call" not in frame.columns:
        frame = frame.with_row_index("call").with_columns(pl.col("call").cast(pl.Int64))
    rows = frame.height
    frame = frame.unique("call", keep="first", maintain_order=True)
    if rows - frame.height:
        faults.append(f"repeated calls, one of each kept: {rows - frame.height:,}")
    order = ["time", "call"] if "time" in frame.columns else ["call"]
    back = sum(
        int((frame[name].diff() < 0).sum()) for name in order[:1] if frame[name].null_count() == 0
    )
    if back:
        faults.append(f"queries earlier than the one before them, now sorted: {back:,}")
    return frame.sort(order, maintain_order=True), faults


def read_log(
    path: Path,
    catalog: Catalog,
    *,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
) -> QueryLog:
    """Read a log: a table (``recsec.data.sources.tables``), or a run's ``transcript/``.

    What is merely unwelcome is handled by a rule and counted in ``faults``: queries without an
    account are left out, repeated calls are kept once, rows are sorted by time and call, items
    that the catalog lacks are left out of histories and lists, and a query that extends one that
    the log lacks keeps the items that it names. Only ``account`` and ``items`` are required.

    Args:
        path: a file, or a folder of parts.
        catalog: the items.
        columns: our names to the table's, where they are others.
        dialect: what the user says about the table.

    Raises:
        DataError: the file is missing, broken or lacks a column, a value does not fit its column,
            or nothing is left.
        ConfigError: a key of ``columns`` that is not ours.
    """
    opened, _, chosen = choose_columns(path, columns, dialect)
    table = opened.read(FIELDS, chosen)
    frame, faults = _ordered(table.rows)
    faults = [*table.notes, *faults]
    if frame.height == 0:
        raise DataError(f"the query log {path} holds no query with an account")
    items, added, unknown = known_ids(frame["items"], catalog)
    if "answer" in frame.columns:
        flat, served, lost = known_ids(frame["answer"], catalog)
    else:
        flat, served, lost = np.zeros(0, np.int64), np.zeros(frame.height, np.int64), 0
    call = frame["call"].to_numpy()
    if unknown + lost:
        faults.append(UNKNOWN.format(unknown + lost))
    place = np.argsort(call, kind="stable")
    rank = np.empty(len(call), dtype=np.int64)
    rank[:] = np.arange(len(call))
    parent = np.full(len(call), -1)
    if "parent" in frame.columns:
        asked = frame["parent"].fill_null(-1).to_numpy()
        near = np.minimum(np.searchsorted(call[place], asked), len(call) - 1)
        found = (asked >= 0) & (call[place][near] == asked)
        parent = np.where(found, rank[place[near]], -1)
        torn = int(((asked >= 0) & ~(found & (parent < rank))).sum())
        if torn:
            faults.append(TORN.format(torn))
    answers = np.zeros((len(call), int(served.max(initial=0))), dtype=np.int32)
    ranks = np.arange(len(flat)) - np.repeat(np.cumsum(served) - served, served)
    answers[np.repeat(rank, served), ranks] = flat
    calls = Calls(
        call=rank,
        account=frame["account"].cast(pl.String).to_list(),
        parent=parent,
        items=items.astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(added)]).astype(np.int64),
        k=served if "k" not in frame.columns else frame["k"].fill_null(0).to_numpy(),
        answers=answers,
    )
    times = frame["time"] if "time" in frame.columns else None
    clock = times.to_numpy() if times is not None and times.null_count() == 0 else None
    return QueryLog(catalog, calls, clock, tuple(faults))

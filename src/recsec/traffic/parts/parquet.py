"""A log of Parquet files, read in batches: its memory does not grow with its length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.catalog import Catalog
from recsec.data.sources.tables import BROKEN, Dialect, OpenTable, Typed, first_line
from recsec.errors import DataError
from recsec.targets.meter.segments import Calls, ranges
from recsec.traffic.log import (
    FIELDS,
    NOBODY,
    TORN,
    UNKNOWN,
    QueryLog,
    choose_columns,
    known_ids,
    read_log,
)
from recsec.traffic.parts.ancestry import Ancestry
from recsec.traffic.parts.part import Part, Queries, Shard, WholeLog
from recsec.types import IntArray

__all__ = ["ParquetLog", "joined", "open_log", "part_of", "with_ancestors"]

BATCH = 65_536
"""Rows that are read together."""

EARLIER = "\0"
"""Account of rows that stand in a part only because others extend them."""


@dataclass(frozen=True)
class _Facts:
    """What is known of a log before it is read.

    Attributes:
        rows: with an account.
        nobody: rows without one.
        extends: a query names another one that it extends.
    """

    rows: int
    nobody: int
    extends: bool


class ParquetLog:
    """A log of Parquet files, read in batches.

    Where queries name the one that they extend, what each of them adds is kept in a temporary
    folder (``TMPDIR``), some 30 bytes a query; memory does not grow with the log.
    """

    def __init__(
        self,
        table: OpenTable,
        files: Sequence[Path],
        chosen: Mapping[str, str],
        facts: _Facts,
        catalog: Catalog,
    ) -> None:
        self.table, self.files, self.chosen, self.facts = table, list(files), dict(chosen), facts
        self.catalog = catalog
        self._faults: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return self.facts.rows

    @property
    def faults(self) -> tuple[str, ...]:
        """See ``Queries.faults``; reads the log if nobody did."""
        if self._faults is None:
            for _ in self.parts():
                pass
        return self._faults or ()

    def parts(self, shard: Shard | None = None) -> Iterator[Part]:
        """See ``Queries.parts``."""
        found = Counter({NOBODY: self.facts.nobody})
        with TemporaryDirectory(prefix="recsec-log-") as place:
            ancestry = Ancestry(Path(place)) if self.facts.extends else None
            for rows in self._frames(shard if ancestry is None else None):
                own = None
                if shard is not None and ancestry is not None:
                    own = shard.owns(rows["account"].cast(pl.String).to_list())
                if rows.height:
                    yield part_of(rows, self.catalog, found, own=own, ancestry=ancestry)
        if shard is None:
            words = (text.format(found[text]) for text in (NOBODY, UNKNOWN, TORN) if found[text])
            self._faults = tuple(words)

    def of(self, accounts: Collection[str]) -> QueryLog:
        """See ``Queries.of``; reads the log once more."""
        wanted, kept = set(accounts), []
        for part in self.parts():
            mine = [part.log.calls.account[row] in wanted for row in part.rows.tolist()]
            if any(mine):
                kept.append(with_ancestors(part.log, part.rows[np.array(mine)]))
        return joined(self.catalog, kept)

    def _frames(self, shard: Shard | None) -> Iterator[pl.DataFrame]:
        """Batches of rows with an account in our columns, and ``number``: which of all they are."""
        at, number = 0, 0
        account = pl.col(self.chosen["account"])
        for file in self.files:
            scan = pl.scan_parquet(file, glob=False).select(
                list(dict.fromkeys(self.chosen.values()))
            )
            where = f"{file.name}, " if len(self.files) > 1 else ""
            row = 0
            batches = scan.collect_batches(chunk_size=BATCH, maintain_order=True)
            while (batch := _next(batches, self.table.name)) is not None:
                place = pl.int_range(row, row + batch.height, eager=True)
                row, at = row + batch.height, at + batch.height
                kept = batch.select(account.is_not_null()).to_series()
                order = number + kept.cum_sum().cast(pl.Int64) - 1
                number = int(order[-1]) + 1 if len(order) else number
                if shard is not None:
                    names = batch.select(account.cast(pl.String).fill_null("")).to_series()
                    kept = kept & pl.Series(shard.owns(names.to_list()))
                mine, place = batch.filter(kept), place.filter(kept)
                if mine.height == 0:
                    continue
                read = self._read(mine, place, where).with_columns(number=order.filter(kept))
                if "call" not in read.columns:
                    read = read.with_columns(call=place + (at - row))
                yield read

    def _read(self, batch: pl.DataFrame, place: pl.Series, where: str) -> pl.DataFrame:
        """Our columns in our types; errors name the row in the file."""

        def told(row: int) -> str:
            return f"{where}row {place[row] + 1:,}"

        one = Typed(self.table.name, tuple(batch.columns), batch.select, told, every=True)
        return OpenTable(self.table.name, (one,), self.table.dialect).read(FIELDS, self.chosen).rows


def part_of(
    frame: pl.DataFrame,
    catalog: Catalog,
    found: Counter[str],
    *,
    own: npt.NDArray[np.bool_] | None = None,
    ancestry: Ancestry | None = None,
) -> Part:
    """A batch with, in front of it, the histories that it goes on from.

    Args:
        frame: columns of a log, and ``number``: which of all queries each is.
        catalog: the items.
        found: counts what is wrong.
        own: ``(n,)`` which of them the part is about; all if None.
        ancestry: of queries that name the one that they extend.
    """
    n = frame.height
    mine = np.arange(n) if own is None else np.flatnonzero(own)
    items, added, unknown = known_ids(frame["items"], catalog)
    answers = np.zeros((n, 0), dtype=np.int32)
    lost = 0
    if "answer" in frame.columns:
        listed = frame["answer"] if own is None else frame["answer"].filter(pl.Series(own))
        flat, served, lost = known_ids(listed, catalog)
        answers = np.zeros((n, int(served.max(initial=0))), dtype=np.int32)
        ranks = np.arange(len(flat)) - np.repeat(np.cumsum(served) - served, served)
        answers[np.repeat(mine, served), ranks] = flat
    found[UNKNOWN] += unknown + lost
    number = frame["number"].to_numpy()
    parent = np.full(n, -1)
    if ancestry is not None:
        asked = frame["parent"].fill_null(-1).to_numpy()
        call = frame["call"].to_numpy()
        near = np.minimum(np.searchsorted(call, asked), n - 1)
        parent = np.where(
            asked >= 0, np.where(call[near] == asked, number[near], ancestry.find(asked)), -1
        )
        parent[parent >= number] = -1
        found[TORN] += int(((asked >= 0) & (parent < 0)).sum())
        ancestry.add(call, parent, items, added)
    earlier = np.unique(parent[(parent >= 0) & (parent < number[0])])
    before, sizes = (np.zeros(0, np.int64),) * 2
    if ancestry is not None and len(earlier):
        before, sizes = ancestry.histories(earlier)
    c = len(earlier)
    local = np.where(parent < number[0], np.searchsorted(earlier, parent), c + parent - number[0])
    calls = Calls(
        call=np.arange(c + n),
        account=[EARLIER] * c + frame["account"].cast(pl.String).to_list(),
        parent=np.concatenate([np.full(c, -1), np.where(parent >= 0, local, -1)]),
        items=np.concatenate([before, items]).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(np.concatenate([sizes, added]))]).astype(np.int64),
        k=np.zeros(c + n, dtype=np.int64),
        answers=np.concatenate([np.zeros((c, answers.shape[1]), np.int32), answers]),
    )
    times = frame["time"].to_numpy() if "time" in frame.columns else None
    clock = None if times is None else np.concatenate([np.zeros(c, np.int64), times])
    return Part(QueryLog(catalog, calls, clock), c + mine, parent[mine])


def _next(batches: Iterator[pl.DataFrame], name: str) -> pl.DataFrame | None:
    try:
        return next(batches, None)
    except BROKEN as error:
        raise DataError(f"cannot read {name}: {first_line(error)}") from error


def with_ancestors(log: QueryLog, rows: IntArray) -> QueryLog:
    """Some rows, and the whole histories of what they extend as rows of nobody."""
    above = log.parents[rows]
    others = np.setdiff1d(above[above >= 0], rows)
    before, ends = log.histories(others)
    c, calls = len(others), log.calls
    place = np.full(len(log), -1)
    place[others], place[rows] = np.arange(c), c + np.arange(len(rows))
    sizes = np.diff(calls.offsets)[rows]
    added = calls.items[ranges(calls.offsets[rows], sizes)]
    lengths = np.concatenate([np.diff(ends), sizes])
    found = Calls(
        call=np.arange(c + len(rows)),
        account=[EARLIER] * c + [calls.account[row] for row in rows.tolist()],
        parent=np.concatenate([np.full(c, -1), np.where(above >= 0, place[above], -1)]),
        items=np.concatenate([before, added]).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        k=np.zeros(c + len(rows), dtype=np.int64),
        answers=np.zeros((c + len(rows), 0), dtype=np.int32),
    )
    return QueryLog(log.catalog, found)


def joined(catalog: Catalog, logs: Sequence[QueryLog]) -> QueryLog:
    """One after the other."""
    starts = np.cumsum([0, *(len(log) for log in logs)])
    parents = [
        np.where(log.calls.parent >= 0, log.calls.parent + start, -1)
        for log, start in zip(logs, starts.tolist(), strict=False)
    ]
    lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(log.calls.offsets) for log in logs)])
    n = int(starts[-1])
    calls = Calls(
        call=np.arange(n),
        account=[name for log in logs for name in log.calls.account],
        parent=np.concatenate([np.zeros(0, np.int64), *parents]),
        items=np.concatenate([np.zeros(0, np.int32), *(log.calls.items for log in logs)]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        k=np.zeros(n, dtype=np.int64),
        answers=np.zeros((n, 0), dtype=np.int32),
    )
    return QueryLog(catalog, calls)


def open_log(
    path: Path,
    catalog: Catalog,
    *,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
) -> Queries:
    """Open a log to be watched: Parquet in the order of asking in batches, anything else whole.

    Args:
        path: a file, or a folder of parts.
        catalog: the items.
        columns: our names to the table's, where they are others.
        dialect: what the user says about the table.

    Raises:
        DataError: as ``read_log``; of what is read in batches some of it only while it is read.
        ConfigError: a key of ``columns`` that is not ours.
    """
    table, files, chosen = choose_columns(path, columns, dialect)
    facts = None if table.dialect.drop_bad else _facts(table, files, chosen)
    if facts is None or facts.rows == 0:
        return WholeLog(read_log(path, catalog, columns=columns, dialect=dialect))
    return ParquetLog(table, files, chosen, facts, catalog)


def _facts(table: OpenTable, files: Sequence[Path], chosen: Mapping[str, str]) -> _Facts | None:
    """What batches must know beforehand; None where they would not do: no order, other types."""
    if not all(isinstance(part, Typed) and part.every for part in table.parts):
        return None
    wanted = list(dict.fromkeys(chosen.values()))
    try:
        schemas = [
            pl.scan_parquet(file, glob=False).select(wanted).collect_schema() for file in files
        ]
        schema = schemas[0]
        kinds = {ours: schema[theirs] for ours, theirs in chosen.items()}
        numbers = [kinds[name] for name in ("call", "parent") if name in kinds]
        if any(one != schema for one in schemas) or not all(kind.is_integer() for kind in numbers):
            return None
        asks: list[pl.Expr] = [
            pl.len().alias("rows"),
            pl.col(chosen["account"]).null_count().alias("nobody"),
        ]
        if "call" in chosen:
            call = pl.col(chosen["call"]).cast(pl.Int64)
            asks.append(((call <= call.shift()).any() | call.has_nulls()).alias("mixed calls"))
        if "time" in chosen:
            time = pl.col(chosen["time"])
            asks.append(((time < time.shift()).any() | time.has_nulls()).alias("mixed times"))
        if "parent" in chosen:
            asks.append((pl.col(chosen["parent"]) >= 0).any().alias("extends"))
        found = (
            pl.scan_parquet(list(files), glob=False)
            .select(asks)
            .collect(engine="streaming")
            .row(0, named=True)
        )
    except (*BROKEN, KeyError):
        return None  # whoever reads it whole says what is wrong
    if found.get("mixed calls") or found.get("mixed times"):
        return None
    return _Facts(found["rows"] - found["nobody"], found["nobody"], bool(found.get("extends")))

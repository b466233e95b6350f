"""Watch a log as far as it goes, in one process or several, and go on where they stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from recsec.data.sources.tables import Dialect
from recsec.detection.watch import Fitted, Watch
from recsec.errors import RunError
from recsec.traffic import (
    Prefix,
    Queries,
    QueryLog,
    Shard,
    StreamLog,
    WholeLog,
    open_log,
    open_stream,
)
from recsec.types import Progress

__all__ = ["follow_in_processes", "follow_log", "follow_stream"]

BLOCK = 16_384
"""Queries that are watched together."""

SECONDS = 15.0
"""Least processor time between two saves of the state."""

TIMES = 40
"""Processor time from one save to the next, in times of what a save takes."""


class _Saves:
    """When the state is written: by processor time, when it has changed."""

    def __init__(self, state: Path | None) -> None:
        self.state = state
        self.cost, self.last, self.seen = 0.0, time.process_time(), -1

    def save(self, watch: Watch, *, last: bool = False) -> None:
        """Write it if it is due, and at the end."""
        begun = time.process_time()
        early = begun - self.last < max(SECONDS, TIMES * self.cost)
        if self.state is None or watch.seen == self.seen or (early and not last):
            return
        watch.save(self.state)
        self.last, self.seen = time.process_time(), watch.seen
        self.cost = self.last - begun


def follow_log(
    fitted: Fitted,
    log: Queries | QueryLog,
    *,
    name: str = "the log",
    state: Path | None = None,
    shard: Shard | None = None,
    progress: Progress | None = None,
) -> Watch:
    """Observe what is new in a log; with ``state``, saved now and then and at the end.

    Saves before the last one take about a fortieth of the time. A process that is killed has to
    watch again what came after the last of them, and ends with the same.

    Args:
        fitted: the detectors.
        log: begins as the log that the state was written for, if there is one.
        name: how errors call the log.
        state: the file.
        shard: of the accounts; all of them if None.
        progress: is told how many queries were read.

    Raises:
        CheckpointError: the state is broken.
        RunError: it belongs to other detectors or to another log.
        OSError: it cannot be written.
    """
    whole: Queries = WholeLog(log) if isinstance(log, QueryLog) else log
    watch, prefix, read = fitted.watch(), Prefix(), 0
    saves = _Saves(state)
    if state is not None and state.exists():
        watch = Watch.resume(fitted, state)
        saves.seen = watch.seen
    for part in whole.parts(shard):
        known = min(len(part), watch.seen - prefix.queries)
        if known > 0:
            prefix.add(part.slice(0, known))
            if prefix.queries == watch.seen:
                _check(watch, prefix, name=name, state=state)
        for begin in range(max(known, 0), len(part), BLOCK):
            fresh = part.slice(begin, begin + BLOCK)
            prefix.add(fresh)
            watch.observe_log(fresh.log, fresh.rows)
            watch.log = {"name": name, "sum": prefix.digest}
            saves.save(watch)
        read += len(part)
        if progress is not None:
            progress("watching", read, len(whole))
    if prefix.queries < watch.seen:
        raise RunError(
            f"the state {state} has seen {watch.seen:,} queries of "
            f"{watch.log.get('name', 'an unknown log')}; {name} holds {prefix.queries:,}",
            hint=HINT,
        )
    saves.save(watch, last=True)
    return watch


def follow_stream(
    fitted: Fitted, url: str, *, state: Path | None = None, progress: Progress | None = None
) -> tuple[Watch, StreamLog]:
    """Observe what is new in a stream, up to the entry that is the last one at the start.

    The state holds the entry up to which it has seen the stream, and both are written in one step:
    after a kill, entries since the last save are read again and none counts twice.

    Args:
        fitted: the detectors.
        url: of Redis or Kafka; see ``open_stream``.
        state: the file.
        progress: is told how many entries were read.

    Raises:
        CheckpointError: the state is broken.
        DataError: the stream cannot be read.
        RunError: the state belongs to other detectors or to another log.
        OSError: the state cannot be written.
    """
    watch, after = fitted.watch(), None
    if state is not None and state.exists():
        watch = Watch.resume(fitted, state)
        after = watch.log.get("entry")
    log = open_stream(url, fitted.catalog, after=after, read=int(watch.log.get("read", "0")))
    if (after is None and watch.seen) or watch.log.get("name", log.name) != log.name:
        raise RunError(
            f"the state {state} has seen {watch.seen:,} queries of "
            f"{watch.log.get('name', 'an unknown log')}, not of {log.name}",
            hint=HINT,
        )
    saves, read = _Saves(state), 0
    saves.seen = watch.seen if after is not None else -1
    for entry, part in log.entries(after):
        watch.observe_log(part.log, part.rows)
        watch.log = {"name": log.name, "entry": entry, "read": str(log.read)}
        saves.save(watch)
        read += len(part)
        if progress is not None:
            progress("watching", read, max(read, len(log)))
    saves.save(watch, last=True)
    return watch, log


HINT = "use the log that it was written for, or another --state"


def _check(watch: Watch, prefix: Prefix, *, name: str, state: Path | None) -> None:
    """Refuse a log that does not begin as the state's did."""
    recorded = watch.log.get("sum", "unknown")
    if prefix.digest != recorded:
        raise RunError(
            f"the state {state} has seen {watch.seen:,} queries of "
            f"{watch.log.get('name', 'an unknown log')} (check sum {recorded[:12]}); the first "
            f"{watch.seen:,} queries of {name} are others ({prefix.digest[:12]})",
            hint=HINT,
        )


@dataclass(frozen=True)
class _Work:
    """What a process is told."""

    detectors: Path
    log: Path
    columns: Mapping[str, str]
    dialect: Dialect | None
    name: str
    state: Path
    shard: Shard


def follow_in_processes(
    detectors: Path,
    log: Path,
    *,
    processes: int,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
    state: Path | None = None,
    progress: Progress | None = None,
) -> Watch:
    """``follow_log`` with the accounts dealt out by name; the states are merged.

    Each process reads all of the log and watches its own accounts, so it finds what one process
    would. Detectors know accounts one by one, and states of disjoint accounts merge exactly.

    Args:
        detectors: the folder.
        log: a table, or a folder of parts.
        processes: how many.
        columns: our names to the table's.
        dialect: what there is to say about the table.
        state: each process keeps its own beside it, ``STATE.1-of-4`` and so on.
        progress: is told how many are done.

    Raises:
        RunError: as ``follow_log``; or a process ended.
    """
    with TemporaryDirectory(prefix="recsec-detect-") as place:
        stem = state if state is not None else Path(place) / "state"
        works = [
            _Work(
                detectors,
                log,
                dict(columns or {}),
                dialect,
                str(log),
                stem.with_name(f"{stem.name}.{at + 1}-of-{processes}"),
                Shard(at, processes),
            )
            for at in range(processes)
        ]
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            calls = [pool.submit(_watch, work) for work in works]
            try:
                for done, call in enumerate(as_completed(calls), start=1):
                    call.result()
                    if progress is not None:
                        progress("watching: processes done", done, processes)
            except BrokenProcessPool as error:
                raise RunError(
                    "a process that watched the log ended before its end",
                    hint="run the same command again, or with --processes 1 if memory was short",
                ) from error
        fitted = Fitted.load(detectors)
        whole = fitted.watch()
        for work in works:
            whole.merge(Watch.resume(fitted, work.state))
    return whole


def _watch(work: _Work) -> None:
    """What a process does."""
    fitted = Fitted.load(work.detectors)
    log = open_log(work.log, fitted.catalog, columns=work.columns, dialect=work.dialect)
    follow_log(fitted, log, name=work.name, state=work.state, shard=work.shard)

"""Watch a log in several processes, each of them some of the accounts."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from recsec.data.sources.tables import Dialect
from recsec.detection.following import follow_log
from recsec.detection.watch import Fitted, Watch
from recsec.errors import RunError
from recsec.traffic import Shard, open_log
from recsec.types import Progress

__all__ = ["follow_in_processes"]


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

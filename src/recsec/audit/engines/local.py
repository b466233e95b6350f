"""Tasks in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from typing import Any, Self, TypeAlias

import torch

from recsec.audit.engines.base import Failure, Result, Task, run_packed
from recsec.audit.engines.reports import seldom
from recsec.types import Progress

__all__ = ["LocalEngine"]

Said: TypeAlias = tuple[str, int, int]

SECONDS_BETWEEN_REPORTS = 0.3
_talk: SimpleQueue[Said] | None = None


def _silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes that start here never hear Ctrl-C, not even while they import."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass
class _Pool:
    """Running workers.

    Attributes:
        executor: hands out tasks.
        talk: what the workers say about their progress.
        lifeline: while this end is open the workers live; it closes when this process dies.
    """

    executor: ProcessPoolExecutor
    talk: SimpleQueue[Said]
    lifeline: Connection

    @classmethod
    def start(cls, workers: int, threads: int) -> Self:
        context = multiprocessing.get_context("spawn")
        alive, lifeline = context.Pipe(duplex=False)
        talk: SimpleQueue[Said] = context.SimpleQueue()
        executor = ProcessPoolExecutor(
            workers,
            mp_context=context,
            initializer=_begin,
            initargs=(threads, talk, alive),
        )
        return cls(executor, talk, lifeline)

    def stop(self) -> None:
        """End the workers at once, whatever they are doing."""
        self.lifeline.close()
        self.executor.shutdown(cancel_futures=True)
        self.talk.close()


class LocalEngine:
    """Spawned worker processes with a fixed number of threads each.

    Two workers of one thread are faster than one of two threads for models of this size. With one
    worker, or one task, the work is done in this process. Workers end at once when this process
    ends, however it ends, so a run that was killed can be taken up again immediately. They stay for
    the next tasks until ``close``, or the end of the ``with`` block.

    Args:
        workers: processes.
        threads: threads of the numerical library in each; results may depend on it.
    """

    def __init__(self, *, workers: int, threads: int = 1) -> None:
        self.workers = workers
        self.threads = threads
        self._pool: _Pool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.stop()
            self._pool = None

    def run(self, tasks: Iterable[Task], *, progress: Progress | None = None) -> Iterator[Result]:
        """See ``Engine.run``."""
        waiting = list(tasks)
        if min(self.workers, len(waiting)) > 1:
            yield from self._spread(waiting, progress or _silent)
            return
        for task in waiting:
            with _threads(self.threads):
                result = run_packed(task.pack(), progress or _silent)
            yield result

    def _spread(self, tasks: list[Task], progress: Progress) -> Iterator[Result]:
        if self._pool is None:
            self._pool = _Pool.start(self.workers, self.threads)
        pool = self._pool
        with _interrupts_ignored():
            futures = {_submit(pool.executor, task): task for task in tasks}
        pending = set(futures)
        try:
            while pending:
                finished, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                while not pool.talk.empty():
                    progress(*pool.talk.get())
                for future in finished:
                    yield _outcome(future, futures[future])
        finally:
            if pending or any(_died(future) for future in futures):
                self.close()


def _submit(executor: ProcessPoolExecutor, task: Task) -> Future[Result]:
    try:
        return executor.submit(_execute, task.pack())
    except BrokenProcessPool as error:  # a worker died while others were still being handed out
        failed: Future[Result] = Future()
        failed.set_exception(error)
        return failed


def _died(future: Future[Result]) -> bool:
    return future.done() and isinstance(future.exception(), BrokenProcessPool)


def _outcome(future: Future[Result], task: Task) -> Result:
    try:
        return future.result()
    except BrokenProcessPool:
        failure = Failure(
            "WorkerDied",
            "a worker process died, most likely for lack of memory",
            "set engine.workers = 1 and run the same command again",
        )
    except Exception as error:  # a result or an error that cannot be sent between processes
        failure = Failure(type(error).__name__, f"{type(error).__name__}: {error}")
    return Result(task.id, None, failure, 0.0)


def _begin(threads: int, talk: SimpleQueue[Said], alive: Connection) -> None:
    """Prepare a worker: its threads, its voice, and its end."""
    global _talk  # noqa: PLW0603 - one per worker process, set once
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    _talk = talk
    threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()


def _end_with_parent(alive: Connection) -> None:
    """Wait until the other end of the pipe is closed: by the parent, or by its death."""
    alive.poll(None)
    os._exit(1)


def _execute(packed: dict[str, Any]) -> Result:
    def report(what: str, done: int, total: int) -> None:
        if _talk is not None:
            _talk.put((what, done, total))

    return run_packed(packed, seldom(report, SECONDS_BETWEEN_REPORTS))

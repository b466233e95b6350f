"""Inference off the event loop: requests that wait together are answered together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from recsec.data.sequences import pad
from recsec.targets import LocalTarget, Target, check_answer
from recsec.types import FloatArray, IntArray

__all__ = ["NO_SCORES", "Batcher", "Busy"]


NO_SCORES: FloatArray = np.zeros(0)


class Busy(Exception):  # noqa: N818 - a state, not a failure
    """Too many requests wait, or one waited too long."""


@dataclass
class _Waiting:
    account: str
    history: IntArray
    k: int
    until: float
    scored: bool
    answer: asyncio.Future[tuple[IntArray, FloatArray]]


class Batcher:
    """One thread asks the target; whatever came in meanwhile goes with its next pass.

    Nothing waits for company: a request that comes while the thread is idle is asked at once.

    Args:
        target: who answers.
        waiting: most requests that wait.
        deadline: seconds after which a request that waits is refused.
        together: whether requests of several accounts may go in one pass; a target whose answer
            depends on the account needs them apart.
        told: is called for each pass.
    """

    def __init__(
        self,
        target: Target,
        *,
        waiting: int = 512,
        deadline: float = 5.0,
        together: bool = True,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._target = target
        self._most = waiting
        self._deadline = deadline
        self._together = together
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="recsec-inference")
        self._queue: deque[_Waiting] = deque()
        self._pass: asyncio.Task[None] | None = None
        self._told = told

    async def ask(self, account: str, history: IntArray, k: int) -> IntArray:
        """The list ``(k,)`` for a history ``(L,)``; zeros where it is shorter.

        Raises:
            Busy: it would have to wait too long.
            TargetError: the target failed.
        """
        found, _ = await self._asked(account, history, k, scored=False)
        return found

    async def ask_scored(
        self, account: str, history: IntArray, k: int
    ) -> tuple[IntArray, FloatArray]:
        """The same with the scores ``(k,)`` of the items; of a ``LocalTarget`` only."""
        return await self._asked(account, history, k, scored=True)

    async def _asked(
        self, account: str, history: IntArray, k: int, *, scored: bool
    ) -> tuple[IntArray, FloatArray]:
        if len(self._queue) >= self._most:
            raise Busy
        answer = asyncio.get_running_loop().create_future()
        until = time.monotonic() + self._deadline
        self._queue.append(_Waiting(account, history, k, until, scored, answer))
        if self._pass is None:
            self._pass = asyncio.create_task(self._work())
        found: tuple[IntArray, FloatArray] = await answer
        return found

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._queue:
                batch = self._next()
                if not batch:
                    continue
                try:
                    lists = await loop.run_in_executor(self._pool, self._answer, batch)
                except Exception as error:
                    for one in batch:
                        if not one.answer.done():
                            one.answer.set_exception(error)
                    continue
                for one, row in zip(batch, lists, strict=True):
                    if not one.answer.done():
                        one.answer.set_result(row)
        finally:
            self._pass = None

    def _next(self) -> list[_Waiting]:
        """The requests that go together with the oldest one; those too late are refused."""
        now = time.monotonic()
        batch: list[_Waiting] = []
        rest: deque[_Waiting] = deque()
        for one in self._queue:
            if one.answer.done():
                continue  # whoever asked went away
            if one.until < now:
                one.answer.set_exception(Busy())
            elif len(batch) < self._target.chunk and (not batch or self._fits(batch[0], one)):
                batch.append(one)
            else:
                rest.append(one)
        self._queue = rest
        return batch

    def _fits(self, first: _Waiting, other: _Waiting) -> bool:
        same = (other.k, other.scored) == (first.k, first.scored)
        return same and (self._together or other.account == first.account)

    def _answer(self, batch: Sequence[_Waiting]) -> list[tuple[IntArray, FloatArray]]:
        self._told()
        histories = pad([one.history for one in batch])
        if histories.shape[1] == 0:
            histories = np.zeros((len(batch), 1), dtype=np.int64)
        k = batch[0].k
        account = "service" if self._together else batch[0].account
        scores = NO_SCORES
        if batch[0].scored and isinstance(self._target, LocalTarget):
            lists, scores = self._target.scored(account, histories, k)
        else:
            lists = self._target.query(account, histories, k)
        check_answer(lists, rows=len(batch), k=k, items=len(self._target.catalog))
        return [(row, scores[at] if len(scores) else NO_SCORES) for at, row in enumerate(lists)]

    def close(self) -> None:
        """Let the thread go; what it does now is finished."""
        self._pool.shutdown(wait=True)

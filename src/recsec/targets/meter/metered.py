"""The meter: counts calls, enforces the budget, keeps the transcript and replays it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from recsec.errors import BudgetExhausted, RunError, TargetError
from recsec.runs import discard_unfinished
from recsec.targets.base import Budget, PartialAnswer, Stateful, Target, check_answer
from recsec.targets.meter.journal import Journal
from recsec.targets.meter.segments import (
    Calls,
    compact,
    write_columns,
    write_segment,
)
from recsec.targets.meter.transcript import Transcript
from recsec.targets.meter.unknown import UnknownCount
from recsec.types import IntArray

__all__ = ["MeteredTarget"]

LEAVES = 65_536
"""Histories that the next query may extend, newest kept."""

TWINS = 255
"""Equal histories, asked several times, that may each be extended."""

MERGE = 64
"""Segments after which the small ones are merged."""

JOURNALED = 4096
"""Calls that a journal holds before they become a segment."""

_Key = tuple[str, bytes]


@dataclass(frozen=True)
class _Leaves:
    """Calls that nobody has extended yet, by account and history, oldest first."""

    calls: OrderedDict[_Key, tuple[int, ...]] = field(default_factory=OrderedDict)

    def link(
        self, account: str, histories: IntArray, lengths: IntArray, first: int
    ) -> tuple[IntArray, dict[_Key, tuple[int, ...]]]:
        """Find the parent of each row: a call that asked the same history less its last item.

        Returns:
            Parents ``(B,)``, -1 for none, and the leaves that change if the query is answered.
        """
        parents = np.full(len(histories), -1)
        changed: dict[_Key, tuple[int, ...]] = {}
        for row, length in enumerate(lengths.tolist()):
            digest = blake2b(histories[row, : max(length - 1, 0)].tobytes(), digest_size=16)
            if length:
                shorter = (account, digest.digest())
                leaves = changed.get(shorter, self.calls.get(shorter, ()))
                if leaves:
                    parents[row] = leaves[0]
                    changed[shorter] = leaves[1:]
                digest.update(histories[row, length - 1 : length].tobytes())
            whole = (account, digest.digest())
            same = changed.get(whole, self.calls.get(whole, ()))
            changed[whole] = (*same[-TWINS:], first + row)
        return parents, changed

    def commit(self, changed: dict[_Key, tuple[int, ...]]) -> None:
        """The query was answered: its rows are leaves now."""
        for key, leaves in changed.items():
            self.calls.pop(key, None)
            if leaves:
                self.calls[key] = leaves
        while len(self.calls) > LEAVES:
            self.calls.popitem(last=False)


def _appended(
    histories: IntArray, lengths: IntArray, parents: IntArray
) -> tuple[npt.NDArray[np.int32], IntArray]:
    """What each row adds to its parent: flat items and offsets."""
    starts = np.where(parents >= 0, lengths - 1, 0)
    columns = np.arange(histories.shape[1])
    added = (columns >= starts[:, None]) & (columns < lengths[:, None])
    offsets = np.concatenate([[0], np.cumsum(lengths - starts)]).astype(np.int64)
    return histories[added].astype(np.int32), offsets


def _select(calls: Calls, rows: IntArray) -> Calls:
    """Some rows of a query."""
    spans = [calls.items[calls.offsets[row] : calls.offsets[row + 1]] for row in rows]
    return Calls(
        call=calls.call[rows],
        account=[calls.account[row] for row in rows],
        parent=calls.parent[rows],
        items=np.concatenate(spans) if spans else calls.items[:0],
        offsets=np.cumsum([0, *(len(span) for span in spans)], dtype=np.int64),
        k=calls.k[rows],
        answers=calls.answers[rows],
    )


class MeteredTarget:
    """A target behind the meter, the outermost layer of every attack.

    The calls of a run are numbered in the order of asking. With a ``folder``, every answer is
    recorded there, and a run that starts over with the same folder gets the recorded answers
    without a new query, as long as it asks the same questions. So a collection that was killed
    continues by simply running its policy again.

    What was answered is recorded before the next chunk is asked, so a kill makes at most one chunk
    (``Target.chunk``) be asked again, and ``sent`` counts it. Calls to a recommender in this
    process cost time only and are recorded in pools (``Stateful.pool``).

    Use it as a context manager, or call ``flush`` at the end.

    Args:
        target: whom to ask.
        budget: the limits; ``budget.calls`` counts replayed calls too.
        folder: where the transcript is kept; without one, calls are counted only.

    Raises:
        RunError: the transcript in ``folder`` is broken or belongs to another catalog.
    """

    def __init__(self, target: Target, *, budget: Budget, folder: Path | None = None) -> None:
        self.catalog = target.catalog
        self.chunk = target.chunk
        self.target = target
        self.budget = budget
        self.folder = folder
        self.asked = 0
        """Queries that went to the target; the others came from the record."""
        self._calls = 0
        self._by_account: dict[str, int] = {}
        self._leaves = _Leaves()
        self._waiting: list[Calls] = []
        self._waiting_calls = 0
        self._segments = 0
        self._journal: Journal | None = None
        self._unknown = UnknownCount(folder, target)
        if folder is not None:
            discard_unfinished(folder)
            journal = Journal(folder)
            write_columns(folder, journal.left, self.catalog)
            compact(folder)
            if not isinstance(target, Stateful):
                self._journal = journal
        self._record = self._recorded()
        if self._journal is not None:
            self._journal.restart(at_least=len(self._record))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()
        if self._journal is not None:
            self._journal.close()

    @property
    def sent(self) -> int | None:
        """Requests that any process sent to the target for this folder, as far as is known.

        Those under way when a process was killed are counted, as sent and as sent again. None
        where nothing counts them: without a folder, or for a recommender in this process.
        """
        return None if self._journal is None else self._journal.sent

    @property
    def calls(self) -> int:
        """Calls made so far, replayed ones included."""
        return self._calls

    @property
    def remaining(self) -> int:
        """Calls that the budget still allows."""
        return self.budget.calls - self._calls

    @property
    def calls_by_account(self) -> dict[str, int]:
        """Calls of each account, replayed ones included."""
        return dict(self._by_account)

    def transcript(self) -> Transcript:
        """All that is recorded, waiting calls included.

        Raises:
            RunError: the meter has no folder, or a segment is broken.
        """
        if self.folder is None:
            raise RunError("this meter keeps no transcript: it was given no folder")
        self.flush()
        return Transcript.open(self.folder, self.catalog)

    def flush(self) -> None:
        """Record the calls that wait.

        Raises:
            RunError: the folder cannot be written.
        """
        if self.folder is not None and self._waiting:
            joined = Transcript.from_parts(self.catalog, self._waiting)
            write_segment(self.folder, joined.calls, self.catalog)
            self._segments += 1
            if self._segments % MERGE == 0:
                compact(self.folder)
            if self._journal is not None:
                self._journal.restart()
        self._unknown.keep()
        self._waiting.clear()
        self._waiting_calls = 0

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """Ask, or replay, one call per row; see ``Target.query``.

        Raises:
            BudgetExhausted: the query does not fit the budget; nothing was asked.
            TargetError: the target failed; what it answered before is recorded.
            RunError: the record holds other questions, or cannot be written.
        """
        rows = len(histories)
        self._allow(account, rows, k)
        histories = np.ascontiguousarray(histories, dtype=np.int64)
        lengths = (histories > 0).sum(axis=1)
        parents, leaves = self._leaves.link(account, histories, lengths, self._calls)
        items, offsets = _appended(histories, lengths, parents)
        query = Calls(
            call=np.arange(self._calls, self._calls + rows),
            account=[account] * rows,
            parent=parents,
            items=items,
            offsets=offsets,
            k=np.full(rows, k),
            answers=np.zeros((rows, k), dtype=np.int64),
        )
        known = self._replay(query)
        for start in range(0, rows, self.chunk):
            part = np.arange(start, min(start + self.chunk, rows))
            missing = part[~known[part]]
            if len(missing):
                self._ask(account, histories, query, missing)
            elif isinstance(self.target, Stateful):
                self.target.follow(account, histories[part])
        self._leaves.commit(leaves)
        self._calls += rows
        self._by_account[account] = self._by_account.get(account, 0) + rows
        if self.remaining == 0:
            self.flush()
        return query.answers.astype(np.int64)

    def _allow(self, account: str, rows: int, k: int) -> None:
        if rows > self.remaining:
            raise BudgetExhausted(
                f"the budget of {self.budget.calls:,} calls has {self.remaining:,} left, "
                f"the query needs {rows:,}"
            )
        if k > self.budget.k:
            raise BudgetExhausted(f"the budget allows lists of {self.budget.k} items, not of {k}")
        if account not in self._by_account and len(self._by_account) >= self.budget.accounts:
            raise BudgetExhausted(
                f"the budget allows {self.budget.accounts} accounts; {account!r} would be one more"
            )

    def _recorded(self) -> Transcript:
        if self.folder is None:
            return Transcript.from_parts(self.catalog, [])
        return Transcript.open(self.folder, self.catalog)

    def _replay(self, query: Calls) -> npt.NDArray[np.bool_]:
        """Fill in the recorded answers; returns which rows they cover ``(B,)``."""
        if len(self._record) == 0:
            return np.zeros(len(query), dtype=bool)
        rows = self._record.rows(query.call)
        known = rows >= 0
        mine, recorded = np.flatnonzero(known), rows[known]
        record = self._record.calls
        asked = _select(query, mine)
        stored = _select(record, recorded)
        same = (
            (asked.parent == stored.parent)
            & (asked.k == stored.k)
            & (np.diff(asked.offsets) == np.diff(stored.offsets))
            & np.fromiter(
                (a == b for a, b in zip(asked.account, stored.account, strict=True)), bool
            )
        )
        if same.all() and not np.array_equal(asked.items, stored.items):
            call = np.repeat(np.arange(len(asked)), np.diff(asked.offsets))
            same[call[asked.items != stored.items]] = False
        if not same.all():
            raise RunError(
                f"call {asked.call[int(np.argmin(same))]} of the transcript in {self.folder} asked "
                "something else: it was collected with another plan, seed or version",
                hint="use another --out, or the plan of that run",
            )
        width = min(query.answers.shape[1], stored.answers.shape[1])
        query.answers[mine, :width] = stored.answers[:, :width]
        return known

    def _ask(self, account: str, histories: IntArray, query: Calls, rows: IntArray) -> None:
        """Ask for some rows of a query and record them."""
        k = query.answers.shape[1]
        if self._journal is not None:
            self._journal.ask(len(rows))
        before = self._requests()
        try:
            answer = self.target.query(account, histories[rows], k)
            query.answers[rows] = check_answer(answer, rows=len(rows), k=k, items=len(self.catalog))
        except PartialAnswer as failure:
            sent = self._requests(len(rows)) - before
            rows = rows[failure.answered]
            query.answers[rows] = failure.lists[failure.answered]
            self._keep(_select(query, rows), sent)
            self.flush()
            self._record = self._recorded()
            raise
        except TargetError:
            if self._journal is not None:
                self._journal.failed(self._requests(len(rows)) - before)
            self.flush()
            self._record = self._recorded()
            raise
        self._keep(_select(query, rows), self._requests(len(rows)) - before)

    def _requests(self, histories: int = 0) -> int:
        """Requests that the target has made; where it does not count, one for each history."""
        return int(getattr(self.target, "requests", histories))

    def _keep(self, calls: Calls, sent: int) -> None:
        """Record answers that cost so many requests."""
        self.asked += len(calls)
        if self.folder is None:
            return
        if self._journal is not None:
            self._journal.got(calls, self.catalog, sent)
            self._unknown.keep()
        if len(calls) == 0:
            return
        self._waiting.append(calls)
        self._waiting_calls += len(calls)
        pool = self.target.pool if isinstance(self.target, Stateful) else JOURNALED
        if self._waiting_calls >= pool:
            self.flush()

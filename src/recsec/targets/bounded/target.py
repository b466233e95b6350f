"""A target that keeps each account's history: clients send events, never histories."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from recsec.data.sequences import pad
from recsec.errors import RunError, TargetError
from recsec.runs import read_table, write_table
from recsec.targets.base import Target, check_answer
from recsec.targets.bounded.history import History
from recsec.targets.bounded.pace import Pace
from recsec.targets.bounded.serving import Serving
from recsec.types import FloatArray, IntArray

__all__ = ["BoundedTarget"]

REDO = "delete that file: accounts then begin anew, with empty histories"


class BoundedTarget:
    """Answers for the history that it saw itself.

    An API that takes histories lets a client ask about any of them. Here a client can only add an
    event to its own account's, and look: nothing can be shortened, rewritten or asked for somebody
    else. Whoever acts faster than people do is answered for the history as it stood: such an event
    waits until the pace allows it to count, so nobody's events are lost, and nothing is gained by
    haste. Of more waiting events than the pace allows in its longest window the newest are dropped.

    Args:
        target: who answers.
        pace: how fast events count; None: at once.
        longest: newest events of an account that are kept.
        clock: seconds; a simulation brings its own.
    """

    def __init__(
        self,
        target: Target,
        pace: Pace | None = None,
        *,
        longest: int = 200,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.catalog = target.catalog
        self.chunk = target.chunk
        self.target = target
        self.pace = pace or Pace(())
        self.longest = longest
        self.clock = clock
        self._accounts: dict[str, History] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"BoundedTarget({self.target!r}, {len(self._accounts)} accounts)"

    def act(self, account: str, item: int, *, at: float | None = None) -> float:
        """Add an event to an account.

        Args:
            account: who acts.
            item: catalog index.
            at: seconds, for a simulation; by default now.

        Returns:
            When the event counts, in seconds: ``at``, or later where the account is too fast.

        Raises:
            TargetError: no such item.
        """
        if not 1 <= item <= len(self.catalog):
            raise TargetError(f"no item {item} in a catalog of {len(self.catalog)} items")
        now = self.clock() if at is None else at
        with self._lock:
            kept = self._accounts.setdefault(account, History())
            return kept.act(item, at=now, pace=self.pace, longest=self.longest)

    def look(self, accounts: Sequence[str], k: int, *, at: float | None = None) -> IntArray:
        """Lists ``(B, k)`` for the histories of some accounts as they stand; see ``Target.query``.

        Looking again changes nothing and tells nothing new.
        """
        now = self.clock() if at is None else at
        found = [self.history(account, at=now) for account in accounts]
        lists = np.zeros((len(found), k), dtype=np.int64)
        lengths = np.array([len(each) for each in found], dtype=np.int64)
        for length in np.unique(lengths):  # equal lengths need no padding and are cheap to extend
            rows = np.flatnonzero(lengths == length)
            same = pad([found[row] for row in rows])
            lists[rows] = self.answer([accounts[int(row)] for row in rows], same, k)
        return lists

    def answer(self, accounts: Sequence[str], histories: IntArray, k: int) -> IntArray:
        """What the target behind serves to accounts with these histories ``(B, L)``, in order."""
        if isinstance(self.target, Serving):
            lists = self.target.query_each(accounts, histories, k)
        else:
            lists = self.target.query("bounded", histories, k)
        return check_answer(lists, rows=len(accounts), k=k, items=len(self.catalog))

    def history(self, account: str, *, at: float | None = None) -> IntArray:
        """The newest ``longest`` items that count by now, oldest first; empty for a stranger."""
        now = self.clock() if at is None else at
        with self._lock:
            kept = self._accounts.get(account, History())
            return kept.counted(at=now, longest=self.longest)

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """``Target.query`` for clients that still send histories: only their newest item is taken.

        Raises:
            TargetError: a history is not the account's own and one more event.
        """
        lists = np.zeros((len(histories), k), dtype=np.int64)
        for row, padded in enumerate(histories):
            sent = padded[padded > 0]
            own = self.history(account, at=np.inf)
            if len(sent) == 0 or not np.array_equal(sent[:-1][-self.longest :], own):
                raise TargetError(
                    f"the history that {account} sends is not the one that is kept for it",
                    hint="send one event after the other; histories can't be set",
                )
            self.act(account, int(sent[-1]))
            lists[row] = self.look([account], k)[0]
        return lists

    def events(self, account: str) -> FloatArray:
        """When the kept events of an account count, in seconds."""
        with self._lock:
            return np.array(self._accounts.get(account, History()).due)

    def save(self, path: Path) -> None:
        """Write all histories as one file, whole or not at all.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        with self._lock:
            names = list(self._accounts)
            items = [one.items for one in self._accounts.values()]
            due = [one.due for one in self._accounts.values()]
        table = pl.DataFrame(
            {"account": names, "items": items, "due": due},
            schema={"account": pl.String, "items": pl.List(pl.Int64), "due": pl.List(pl.Float64)},
        )
        write_table(path, table)

    def restore(self, path: Path) -> Self:
        """Take over the histories of ``save``; the present ones are dropped.

        Raises:
            RunError: the file is missing, damaged, or of another catalog.
        """
        table = read_table(path, columns=("account", "items", "due"), hint=REDO)
        if (table["items"].explode() > len(self.catalog)).any():
            raise RunError(f"{path} holds items that the catalog lacks", hint=REDO)
        with self._lock:
            self._accounts = {name: History(items, due) for name, items, due in table.iter_rows()}
        return self

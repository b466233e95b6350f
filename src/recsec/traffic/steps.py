"""Queries as steps of their accounts: what each extends, by which item, and where that stood.

Detectors ask three things of a query: does it extend an earlier one of its account, which item is
new, and at which rank did that item stand in the list served before. ``Follower`` answers them
for live queries, which carry no parent, with bounded memory.

Memory of an account: its newest ``LEAVES`` histories that nobody extended yet and the ``PAST``
last ones that were extended, each with the newest ``TAIL`` items and one list. An honest account
has a few; with lists of 10 that is about 10 kB, and at most 0.1 MB for any account.

People's clients do more than send one growing history. Pages are loaded again (``REPEATS``); the
back button asks an old history again and goes on from there; several devices and persons grow
histories side by side; a client may send a window, or only the item at hand; another fetches
pages ahead (``BRANCHES``). Which of them a person wanted is known when a query goes on from one or
asks it again: only then is its item chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsec.errors import UsageError
from recsec.targets.meter.segments import ranges
from recsec.traffic.crowd import pack_crowd, unpack_crowd
from recsec.traffic.log import QueryLog
from recsec.traffic.memory import (
    BRANCHES,
    EXTENDS,
    LEAVES,
    REACH,
    REPEATS,
    SIDE,
    STARTS,
    TAIL,
    Memory,
    packed,
    place_in,
)
from recsec.types import IntArray

__all__ = ["BRANCHES", "EXTENDS", "REPEATS", "STARTS", "Follower", "Query", "Steps"]


@dataclass(frozen=True, eq=False)
class Query:
    """One query and its answer.

    Attributes:
        history: ``(L,)`` int64 catalog indices, oldest first.
        answer: ``(K,)`` int64 catalog indices, best first; empty if it is not known.
    """

    history: IntArray
    answer: IntArray

    def __post_init__(self) -> None:
        for name, items in (("history", self.history), ("answer", self.answer)):
            if not isinstance(items, np.ndarray) or (items.dtype.kind not in "iu" and items.size):
                raise UsageError(
                    f"{name} of a query: expected an array of catalog indices, found {items!r:.60}",
                    hint="recsec.Query takes your own item ids",
                )


@dataclass(frozen=True, eq=False)
class Steps:
    """n queries in the order of asking, followed.

    Attributes:
        accounts: names of the accounts that occur.
        account: ``(n,)`` place in ``accounts``.
        kind: ``(n,)`` ``STARTS``, ``EXTENDS``, ``REPEATS`` or ``BRANCHES``.
        near: ``(n,)`` bool, the query goes on from one of its account's ``SIDE`` newest histories,
            or starts one with a single item.
        chain: ``(n,)`` number of the growing history within the account.
        rank: ``(n,)`` place (1..K) of the first added item in the list served for the history
            that is extended; 0 if it was not in that list; -1 where there is no such list.
        chosen: ``(n,)`` the same of the query that this one goes on from or repeats, the first time
            that any does; else -1.
        added: ``(n,)`` how many items at the end of the history are new.
        before: ``(n,)`` what came before them, where the history does not say: a client that sends
            the item at hand alone; else 0.
        items: ``(T,)`` flat whole histories.
        offsets: ``(n + 1,)`` where they begin.
        answers: ``(n, K)`` the lists served, zeros on the right.
    """

    accounts: list[str]
    account: IntArray
    kind: IntArray
    near: npt.NDArray[np.bool_]
    chain: IntArray
    rank: IntArray
    chosen: IntArray
    added: IntArray
    before: IntArray
    items: IntArray
    offsets: IntArray
    answers: IntArray

    def __len__(self) -> int:
        """n, the number of queries."""
        return len(self.account)

    def row(self, at: int) -> Steps:
        """One query alone."""
        begin, end = self.offsets[at : at + 2].tolist()
        part = slice(at, at + 1)
        return Steps(
            accounts=[self.accounts[self.account[at]]],
            account=np.zeros(1, dtype=np.int64),
            kind=self.kind[part],
            near=self.near[part],
            chain=self.chain[part],
            rank=self.rank[part],
            chosen=self.chosen[part],
            added=self.added[part],
            before=self.before[part],
            items=self.items[begin:end],
            offsets=np.array([0, end - begin]),
            answers=self.answers[part],
        )

    def pairs(self) -> tuple[IntArray, IntArray, IntArray]:
        """Each added item, the item before it (0 where none is known), and its row."""
        ends = self.offsets[1:]
        place = ranges(ends - self.added, self.added)
        row = np.repeat(np.arange(len(self)), self.added)
        first = place == self.offsets[:-1][row]
        before = np.where(first, self.before[row], self.items[np.maximum(place - 1, 0)])
        return self.items[place], before, row


def _tails(items: IntArray, offsets: IntArray, back: int) -> npt.NDArray[np.int32]:
    """``(n, TAIL)`` newest items of each history less its last ``back``, zeros in front."""
    columns = np.arange(-TAIL, 0) - back
    place = offsets[1:, None] + columns
    inside = place >= offsets[:-1, None]
    found = items[np.where(inside, place, 0)] if len(items) else np.zeros(place.shape, np.int64)
    return np.where(inside, found, 0).astype(np.int32)


class Follower:
    """Finds what each query extends. One for all accounts; state is bounded per account."""

    def __init__(self) -> None:
        self._accounts: dict[str, Memory] = {}

    def follow(
        self, accounts: Sequence[str], items: IntArray, offsets: IntArray, answers: IntArray
    ) -> Steps:
        """Follow n queries in the order of asking.

        Args:
            accounts: n names.
            items: flat whole histories.
            offsets: ``(n + 1,)``.
            answers: ``(n, K)`` lists served, zeros on the right; K may be 0.
        """
        n, width = len(accounts), TAIL * 4
        tails = [_tails(items, offsets, back).tobytes() for back in range(REACH + 1)]
        lengths, lists = np.diff(offsets), packed(answers)
        kind, chain = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        near, added = np.zeros(n, dtype=bool), lengths.astype(np.int64)
        before = np.zeros(n, dtype=np.int64)
        rank, chosen = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
        names: dict[str, int] = {}
        account = np.empty(n, dtype=np.int64)
        for row, length in enumerate(lengths.tolist()):
            name = accounts[row]
            account[row] = names.setdefault(name, len(names))
            memory = self._accounts.get(name)
            if memory is None:
                memory = self._accounts[name] = Memory()
            keys = [tail[row * width : (row + 1) * width] for tail in tails]
            found, parent = memory.parent(keys, length), b""
            if found is None:
                number = memory.chains
                memory.chains += 1
                near[row] = length == 1
                if length == 1 and (alone := memory.alone()) is not None:
                    kind[row] = EXTENDS
                    before[row], parent, chosen[row] = alone
            else:
                kind[row], added[row], number, parent, chosen[row] = found
                near[row] = number in memory.recent
            if parent and kind[row] != REPEATS:
                rank[row] = place_in(parent, int(items[offsets[row + 1] - added[row]]))
            chain[row] = number
            memory.keep(keys[0], number, lists[row], int(rank[row]))
        return Steps(
            accounts=list(names),
            account=account,
            kind=kind,
            near=near,
            chain=chain,
            rank=rank,
            chosen=chosen,
            added=added,
            before=before,
            items=items,
            offsets=offsets,
            answers=answers,
        )

    def follow_rows(self, log: QueryLog, rows: IntArray) -> Steps:
        """Follow some rows of a log, in the order of asking."""
        items, offsets = log.histories(rows)
        names = [log.calls.account[row] for row in rows]
        return self.follow(names, items, offsets, log.calls.answers[rows].astype(np.int64))

    def follow_one(self, account: str, query: Query) -> Steps:
        """Follow one query."""
        offsets = np.array([0, len(query.history)])
        return self.follow([account], query.history, offsets, query.answer[None, :])

    def state(self) -> tuple[list[str], dict[str, npt.NDArray[np.integer]]]:
        """Names of the accounts, and what is kept of them as arrays."""
        return list(self._accounts), pack_crowd(list(self._accounts.values()))

    @classmethod
    def from_state(
        cls, names: Sequence[str], arrays: dict[str, npt.NDArray[np.integer]]
    ) -> Follower:
        """Rebuild from ``state()``."""
        follower = cls()
        follower._accounts = dict(zip(names, unpack_crowd(arrays), strict=True))
        return follower

    def merge(self, other: Follower) -> None:
        """Take over the accounts of another follower.

        An account that both know keeps the histories of both; its newest query is the other's.
        """
        for name, theirs in other._accounts.items():
            mine = self._accounts.setdefault(name, Memory())
            shift = mine.chains
            for key, (chain, answer, rank) in theirs.leaves.items():
                mine.leaves.pop(key, None)
                mine.leaves[key] = (chain + shift, answer, rank)
            while len(mine.leaves) > LEAVES:
                del mine.leaves[next(iter(mine.leaves))]
            for key, chain, answer in theirs.past.rows():
                if (at := mine.past.find(key)) >= 0:
                    mine.past.drop(at)
                mine.past.put(key, chain + shift, answer)
            mine.chains += theirs.chains
            mine.recent = (*mine.recent, *(one + shift for one in theirs.recent))[-SIDE:]

"""Queries as steps of their accounts: what each extends, by which item, and where that stood.

Detectors ask three things of a query: does it extend an earlier one of its account, which item is
new, and at which rank did that item stand in the list served before. ``Follower`` answers them
for live queries, which carry no parent, with bounded memory.

Memory of an account: its newest ``LEAVES`` histories that nobody extended yet, each with the
newest ``TAIL`` items and one list. An honest account has one; with lists of 10 that is about
0.5 kB, and at most 0.1 MB for any account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recsec.errors import UsageError
from recsec.targets.meter.segments import ranges
from recsec.traffic.log import QueryLog
from recsec.types import IntArray

__all__ = ["EXTENDS", "REPEATS", "STARTS", "Follower", "Query", "Steps"]

TAIL = 8
"""Newest items by which a history is recognized. Clients that send a window instead of the whole
history are followed too, because positions do not count."""

REACH = 4
"""Items that a query may add at once and still extend."""

LEAVES = 256
"""Histories of one account that the next query may extend, newest kept."""

STARTS, EXTENDS, REPEATS = 0, 1, 2
"""A query starts a history, extends an earlier one of its account, or repeats it."""


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
        kind: ``(n,)`` ``STARTS``, ``EXTENDS`` or ``REPEATS``.
        newest: ``(n,)`` bool, the query extends the newest query of its account.
        chain: ``(n,)`` number of the growing history within the account.
        rank: ``(n,)`` place (1..K) of the first added item in the list served for the history
            that is extended; 0 if it was not in that list; -1 where there is no such list.
        added: ``(n,)`` how many items at the end of the history are new.
        items: ``(T,)`` flat whole histories.
        offsets: ``(n + 1,)`` where they begin.
        answers: ``(n, K)`` the lists served, zeros on the right.
    """

    accounts: list[str]
    account: IntArray
    kind: IntArray
    newest: npt.NDArray[np.bool_]
    chain: IntArray
    rank: IntArray
    added: IntArray
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
            newest=self.newest[part],
            chain=self.chain[part],
            rank=self.rank[part],
            added=self.added[part],
            items=self.items[begin:end],
            offsets=np.array([0, end - begin]),
            answers=self.answers[part],
        )

    def pairs(self) -> tuple[IntArray, IntArray, IntArray]:
        """Each added item, the item before it (0 at the start of a history), and its row."""
        ends = self.offsets[1:]
        place = ranges(ends - self.added, self.added)
        row = np.repeat(np.arange(len(self)), self.added)
        first = place == self.offsets[:-1][row]
        before = np.where(first, 0, self.items[np.maximum(place - 1, 0)])
        return self.items[place], before, row


@dataclass
class _Memory:
    """What is kept of one account: open histories by tail, oldest first, and two counters."""

    leaves: dict[bytes, tuple[int, IntArray]] = field(default_factory=dict)
    chains: int = 0
    newest: int = -1


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
        self._accounts: dict[str, _Memory] = {}

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
        keys = [_tails(items, offsets, back).tobytes() for back in range(REACH + 1)]
        lengths = np.diff(offsets)
        kind, chain = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        newest, added = np.zeros(n, dtype=bool), lengths.astype(np.int64)
        served = np.zeros((n, answers.shape[1]), dtype=np.int64)
        has = np.zeros(n, dtype=bool)
        names: dict[str, int] = {}
        account = np.empty(n, dtype=np.int64)
        for row in range(n):
            name = accounts[row]
            account[row] = names.setdefault(name, len(names))
            memory = self._accounts.get(name)
            if memory is None:
                memory = self._accounts[name] = _Memory()
            at = row * width
            whole = keys[0][at : at + width]
            back, found = 0, memory.leaves.pop(whole, None)
            if found is None:
                for back in range(1, min(REACH, int(lengths[row])) + 1):
                    found = memory.leaves.pop(keys[back][at : at + width], None)
                    if found is not None:
                        break
            if found is None:
                number = memory.chains
                memory.chains += 1
            else:
                number, parent = found
                kind[row] = EXTENDS if back else REPEATS
                added[row] = back
                newest[row] = back > 0 and number == memory.newest
                if back and len(parent):
                    has[row] = True
                    served[row, : len(parent)] = parent[: served.shape[1]]
            chain[row] = memory.newest = number
            memory.leaves[whole] = (number, answers[row])
            if len(memory.leaves) > LEAVES:
                del memory.leaves[next(iter(memory.leaves))]
        place = np.minimum(offsets[1:] - added, max(len(items) - 1, 0))
        new = items[place] if len(items) else np.zeros(n, dtype=np.int64)
        same = (served == new[:, None]) & (served > 0)
        rank = np.where(same.any(axis=1), same.argmax(axis=1) + 1, 0) if n and same.size else 0
        return Steps(
            accounts=list(names),
            account=account,
            kind=kind,
            newest=newest,
            chain=chain,
            rank=np.where(has & (served > 0).any(axis=1), rank, -1).astype(np.int64),
            added=added,
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
        rows = [
            (code, key, *leaf)
            for code, memory in enumerate(self._accounts.values())
            for key, leaf in memory.leaves.items()
        ]
        wide = max((len(row[3]) for row in rows), default=0)
        answers = np.zeros((len(rows), wide), dtype=np.int32)
        for place, row in enumerate(rows):
            answers[place, : len(row[3])] = row[3]
        counters = [(memory.chains, memory.newest) for memory in self._accounts.values()]
        tails = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.int32)
        return list(self._accounts), {
            "counters": np.array(counters, dtype=np.int64).reshape(-1, 2),
            "account": np.array([row[0] for row in rows], dtype=np.int64),
            "tail": tails.reshape(-1, TAIL).copy(),
            "chain": np.array([row[2] for row in rows], dtype=np.int64),
            "width": np.array([len(row[3]) for row in rows], dtype=np.int64),
            "answer": answers,
        }

    @classmethod
    def from_state(
        cls, names: Sequence[str], arrays: dict[str, npt.NDArray[np.integer]]
    ) -> Follower:
        """Rebuild from ``state()``."""
        follower = cls()
        memories = []
        for name, (chains, newest) in zip(names, arrays["counters"].tolist(), strict=True):
            memories.append(_Memory(chains=chains, newest=newest))
            follower._accounts[name] = memories[-1]
        for row, code in enumerate(arrays["account"].tolist()):
            answer = arrays["answer"][row, : int(arrays["width"][row])].astype(np.int64)
            leaf = (int(arrays["chain"][row]), answer)
            memories[code].leaves[arrays["tail"][row].tobytes()] = leaf
        return follower

    def merge(self, other: Follower) -> None:
        """Take over the accounts of another follower.

        An account that both know keeps the histories of both; its newest query is the other's.
        """
        for name, theirs in other._accounts.items():
            mine = self._accounts.setdefault(name, _Memory())
            shift = mine.chains
            for key, (chain, answer) in theirs.leaves.items():
                mine.leaves.pop(key, None)
                mine.leaves[key] = (chain + shift, answer)
            while len(mine.leaves) > LEAVES:
                del mine.leaves[next(iter(mine.leaves))]
            mine.chains += theirs.chains
            mine.newest = theirs.newest + shift if theirs.newest >= 0 else mine.newest

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

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from recsec.errors import UsageError
from recsec.targets.meter.segments import ranges
from recsec.traffic.log import QueryLog
from recsec.types import IntArray

__all__ = ["BRANCHES", "EXTENDS", "REPEATS", "STARTS", "Follower", "Query", "Steps"]

TAIL = 8
"""Newest items by which a history is recognized. Clients that send a window instead of the whole
history are followed too, because positions do not count."""

REACH = 4
"""Items that a query may add at once and still extend."""

LEAVES = 256
"""Histories of one account that the next query may extend, newest kept."""

PAST = 16
"""Extended histories of one account that may be asked again or extended in another way."""

SIDE = 8
"""Histories of one account that may grow side by side and still are near: devices, persons."""

NONE = np.zeros(0, dtype=np.int64)

STARTS, EXTENDS, REPEATS, BRANCHES = 0, 1, 2, 3
"""A query starts a history, extends an earlier one of its account, repeats it, or extends one that
was extended already and not asked again since."""


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


Kept: TypeAlias = tuple[int, IntArray, int]
"""Of a history: its chain, the list served, and the rank of its newest item until it is chosen."""


@dataclass
class _Memory:
    """What is kept of one account: histories by tail, oldest first, and which grew last."""

    leaves: dict[bytes, Kept] = field(default_factory=dict)
    past: dict[bytes, Kept] = field(default_factory=dict)
    chains: int = 0
    recent: list[int] = field(default_factory=list)

    def parent(
        self, keys: Sequence[bytes], length: int
    ) -> tuple[int, int, int, IntArray, int] | None:
        """What a query goes on from: its kind, items added, and what was kept; None if nothing.

        Args:
            keys: tails of the history less its last 0, 1, .. items.
            length: of the history.
        """
        for back in range(min(REACH, length) + 1):
            if back and not any(keys[back]):
                break
            if (found := self.leaves.pop(keys[back], None)) is not None:
                if back:
                    self._close(keys[back], found)
                return (EXTENDS if back else REPEATS), back, *found
            if (found := self.past.get(keys[back])) is not None:
                if not back:
                    del self.past[keys[back]]
                return (BRANCHES if back else REPEATS), back, *found[:2], -1
        return self._window(keys[0][-4 * length :], length) if 1 < length <= TAIL else None

    def _window(self, own: bytes, length: int) -> tuple[int, int, int, IntArray, int] | None:
        """A window of a few items that moved on."""
        for key in list(self.leaves)[: -SIDE - 1 : -1]:
            if any(key[: -4 * length]) or not any(key[-4 * length : TAIL * 4 - 4 * length + 4]):
                continue
            for back in range(1, min(REACH, length - 1) + 1):
                if key[-4 * (length - back) :] == own[: 4 * (length - back)]:
                    found = self.leaves.pop(key)
                    self._close(key, found)
                    return EXTENDS, back, *found
        return None

    def alone(self) -> tuple[int, IntArray, int] | None:
        """The newest history of one item that nobody extended: that item, its list, its rank."""
        for key in list(self.leaves)[: -SIDE - 1 : -1]:
            if not any(key[:-4]):
                chain, answer, rank = self.leaves[key]
                self.leaves[key] = (chain, answer, -1)
                return int.from_bytes(key[-4:], sys.byteorder), answer, rank
        return None

    def _close(self, key: bytes, found: Kept) -> None:
        self.past[key] = found
        if len(self.past) > PAST:
            del self.past[next(iter(self.past))]

    def keep(self, key: bytes, chain: int, answer: IntArray, rank: int) -> None:
        """Remember a query as one that may be extended."""
        self.leaves[key] = (chain, answer, rank)
        if len(self.leaves) > LEAVES:
            del self.leaves[next(iter(self.leaves))]
        if chain in self.recent:
            self.recent.remove(chain)
        self.recent = [*self.recent, chain][-SIDE:]


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
        tails = [_tails(items, offsets, back).tobytes() for back in range(REACH + 1)]
        lengths = np.diff(offsets)
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
                memory = self._accounts[name] = _Memory()
            keys = [tail[row * width : (row + 1) * width] for tail in tails]
            found, parent = memory.parent(keys, length), NONE
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
            if kind[row] != REPEATS and parent.any():
                place = np.flatnonzero(parent == items[offsets[row + 1] - added[row]])
                rank[row] = place[0] + 1 if len(place) else 0
            chain[row] = number
            memory.keep(keys[0], number, answers[row], int(rank[row]))
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
        rows = [
            (code, key, *leaf, past)
            for code, memory in enumerate(self._accounts.values())
            for past, kept in enumerate((memory.leaves, memory.past))
            for key, leaf in kept.items()
        ]
        wide = max((len(row[3]) for row in rows), default=0)
        answers = np.zeros((len(rows), wide), dtype=np.int32)
        for place, row in enumerate(rows):
            answers[place, : len(row[3])] = row[3]
        counters = np.full((len(self._accounts), 1 + SIDE), -1, dtype=np.int64)
        for place, memory in enumerate(self._accounts.values()):
            counters[place, : 1 + len(memory.recent)] = [memory.chains, *memory.recent]
        tails = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.int32)
        return list(self._accounts), {
            "counters": counters,
            "account": np.array([row[0] for row in rows], dtype=np.int64),
            "tail": tails.reshape(-1, TAIL).copy(),
            "chain": np.array([row[2] for row in rows], dtype=np.int64),
            "rank": np.array([row[4] for row in rows], dtype=np.int64),
            "past": np.array([row[5] for row in rows], dtype=np.int64),
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
        for name, (chains, *recent) in zip(names, arrays["counters"].tolist(), strict=True):
            memories.append(_Memory(chains=chains, recent=[one for one in recent if one >= 0]))
            follower._accounts[name] = memories[-1]
        for row, code in enumerate(arrays["account"].tolist()):
            answer = arrays["answer"][row, : int(arrays["width"][row])].astype(np.int64)
            leaf = (int(arrays["chain"][row]), answer, int(arrays["rank"][row]))
            kept = memories[code].past if arrays["past"][row] else memories[code].leaves
            kept[arrays["tail"][row].tobytes()] = leaf
        return follower

    def merge(self, other: Follower) -> None:
        """Take over the accounts of another follower.

        An account that both know keeps the histories of both; its newest query is the other's.
        """
        for name, theirs in other._accounts.items():
            mine = self._accounts.setdefault(name, _Memory())
            shift = mine.chains
            for kept, other_kept, most in (
                (mine.leaves, theirs.leaves, LEAVES),
                (mine.past, theirs.past, PAST),
            ):
                for key, (chain, answer, rank) in other_kept.items():
                    kept.pop(key, None)
                    kept[key] = (chain + shift, answer, rank)
                while len(kept) > most:
                    del kept[next(iter(kept))]
            mine.chains += theirs.chains
            mine.recent = [*mine.recent, *(one + shift for one in theirs.recent)][-SIDE:]

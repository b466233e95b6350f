"""What is remembered of one account's queries, in little room: a crowd is mostly small objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from recsec.types import IntArray

__all__ = [
    "BRANCHES",
    "EXTENDS",
    "HEAD",
    "LEAVES",
    "REACH",
    "REPEATS",
    "SIDE",
    "STARTS",
    "TAIL",
    "Memory",
    "Past",
    "packed",
    "place_in",
]

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

HEAD = 4 * TAIL + 8
"""Bytes of a record before its list."""

STARTS, EXTENDS, REPEATS, BRANCHES = 0, 1, 2, 3
"""A query starts a history, extends an earlier one of its account, repeats it, or extends one that
was extended already and not asked again since."""

Kept: TypeAlias = tuple[int, bytes, int]
"""Of a history: its chain, the list served, and the rank of its newest item until it is chosen.

Lists are kept as the bytes of int32 without zeros: a crowd of accounts is mostly small objects.
"""


@dataclass(slots=True)
class Past:
    """Extended histories, the oldest first, as records in one piece: tail, chain, list.

    Attributes:
        records: what is kept, all of one width.
        wide: bytes of a list in it, filled up with zeros.
    """

    records: bytes = b""
    wide: int = 0

    def find(self, key: bytes) -> int:
        """Where the record of a tail begins; -1 if there is none."""
        size, at = HEAD + self.wide, self.records.find(key)
        while at >= 0 and at % size:
            at = self.records.find(key, at + 1)
        return at

    def read(self, at: int) -> tuple[int, bytes]:
        """Chain and list of a record."""
        chain = int.from_bytes(self.records[at + HEAD - 8 : at + HEAD], sys.byteorder)
        return chain, _stripped(self.records[at + HEAD : at + HEAD + self.wide])

    def drop(self, at: int) -> None:
        """Forget a record."""
        self.records = self.records[:at] + self.records[at + HEAD + self.wide :]

    def put(self, key: bytes, chain: int, answer: bytes) -> None:
        """Keep a record in the place of the older one with this tail, or as the newest."""
        if len(answer) > self.wide:
            self._widen(len(answer))
        record = key + chain.to_bytes(8, sys.byteorder) + answer.ljust(self.wide, b"\0")
        at = self.find(key)
        if at >= 0:
            self.records = self.records[:at] + record + self.records[at + len(record) :]
        else:
            self.records = (self.records + record)[-PAST * len(record) :]

    def _widen(self, wide: int) -> None:
        size = HEAD + self.wide
        parts = (self.records[at : at + size] for at in range(0, len(self.records), size))
        self.records = b"".join(part.ljust(HEAD + wide, b"\0") for part in parts)
        self.wide = wide

    def rows(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Tail, chain and list of each, the oldest first."""
        for at in range(0, len(self.records), HEAD + self.wide):
            yield self.records[at : at + 4 * TAIL], *self.read(at)


def _stripped(answer: bytes) -> bytes:
    """Without the zeros on the right."""
    short = answer.rstrip(b"\0")
    return answer[: -(-len(short) // 4) * 4]


def packed(answers: IntArray) -> list[bytes]:
    """Each of the lists ``(n, K)`` as bytes."""
    if answers.shape[1] == 0:
        return [b""] * len(answers)
    size, text = 4 * answers.shape[1], answers.astype(np.int32).tobytes()
    filled = 4 * (answers > 0).sum(axis=1)
    return [text[at * size : at * size + length] for at, length in enumerate(filled.tolist())]


def place_in(answer: bytes, item: int) -> int:
    """Where an item stands in a list, from 1; 0 if it does not."""
    wanted = item.to_bytes(4, sys.byteorder)
    at = answer.find(wanted)
    while at >= 0 and at % 4:
        at = answer.find(wanted, at + 1)
    return at // 4 + 1 if at >= 0 else 0


@dataclass(slots=True)
class Memory:
    """What is kept of one account: histories by tail, oldest first, and which grew last."""

    leaves: dict[bytes, Kept] = field(default_factory=dict)
    past: Past = field(default_factory=Past)
    chains: int = 0
    recent: tuple[int, ...] = ()

    def parent(self, keys: Sequence[bytes], length: int) -> tuple[int, int, int, bytes, int] | None:
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
                    self.past.put(keys[back], *found[:2])
                return (EXTENDS if back else REPEATS), back, *found
            if (at := self.past.find(keys[back])) >= 0:
                chain, answer = self.past.read(at)
                if not back:
                    self.past.drop(at)
                return (BRANCHES if back else REPEATS), back, chain, answer, -1
        return self._window(keys[0][-4 * length :], length) if 1 < length <= TAIL else None

    def _window(self, own: bytes, length: int) -> tuple[int, int, int, bytes, int] | None:
        """A window of a few items that moved on."""
        for key in list(self.leaves)[: -SIDE - 1 : -1]:
            if any(key[: -4 * length]) or not any(key[-4 * length : TAIL * 4 - 4 * length + 4]):
                continue
            for back in range(1, min(REACH, length - 1) + 1):
                if key[-4 * (length - back) :] == own[: 4 * (length - back)]:
                    found = self.leaves.pop(key)
                    self.past.put(key, *found[:2])
                    return EXTENDS, back, *found
        return None

    def alone(self) -> tuple[int, bytes, int] | None:
        """The newest history of one item that nobody extended: that item, its list, its rank."""
        for key in list(self.leaves)[: -SIDE - 1 : -1]:
            if not any(key[:-4]):
                chain, answer, rank = self.leaves[key]
                self.leaves[key] = (chain, answer, -1)
                return int.from_bytes(key[-4:], sys.byteorder), answer, rank
        return None

    def keep(self, key: bytes, chain: int, answer: bytes, rank: int) -> None:
        """Remember a query as one that may be extended."""
        self.leaves[key] = (chain, answer, rank)
        if len(self.leaves) > LEAVES:
            del self.leaves[next(iter(self.leaves))]
        if self.recent[-1:] != (chain,):
            self.recent = (*(one for one in self.recent if one != chain), chain)[-SIDE:]

"""What an attacker has seen: the calls of a run, in memory and searchable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recsec.data.catalog import Catalog
from recsec.errors import RunError
from recsec.targets.meter.journal import Journal
from recsec.targets.meter.segments import (
    Calls,
    narrow,
    ranges,
    read_columns,
    read_segments,
    recorded_calls,
)
from recsec.types import IntArray

__all__ = ["Chains", "Transcript", "recorded", "requests"]


def recorded(folder: Path) -> int:
    """How many calls are recorded in a folder.

    Raises:
        RunError: a segment or the journal is damaged.
    """
    left = (call for part in Journal(folder).left for call in part["call"])
    return len({*recorded_calls(folder), *left})


def requests(folder: Path) -> int:
    """How many requests any process sent for a folder; see ``MeteredTarget.sent``.

    Raises:
        RunError: the journal is damaged.
    """
    return Journal(folder).sent


@dataclass(frozen=True, eq=False)
class Chains:
    """Histories that grew call by call: S sessions of P positions in all.

    Attributes:
        items: ``(P,)`` int64 catalog indices, session after session, oldest first.
        offsets: ``(S + 1,)`` int64; session s owns ``items[offsets[s]:offsets[s + 1]]``.
        answers: ``(P, K)`` int32 catalog indices; row p is the answer to the session's history up
            to and including position p, all zeros where that history was not asked.
    """

    items: IntArray
    offsets: IntArray
    answers: npt.NDArray[np.int32]

    def __len__(self) -> int:
        """S, the number of sessions."""
        return len(self.offsets) - 1


@dataclass(frozen=True, eq=False)
class Transcript:
    """The recorded calls of one run, sorted by call number.

    Attributes:
        catalog: the items.
        calls: the columns; see ``Calls``. A million calls with lists of 100 take about 200 MB for
            a catalog of fewer than 32,768 items.
    """

    catalog: Catalog
    calls: Calls

    @classmethod
    def open(cls, folder: Path, catalog: Catalog) -> Transcript:
        """Read what is recorded in ``folder``; a folder without records is an empty transcript.

        Raises:
            RunError: a segment is broken (it is named) or belongs to another catalog.
        """
        parts = [*read_segments(folder, catalog), *read_columns(Journal(folder).left, catalog)]
        return cls.from_parts(catalog, parts)

    @classmethod
    def from_parts(cls, catalog: Catalog, parts: Sequence[Calls]) -> Transcript:
        """Join parts; of calls that occur twice, one is kept."""
        width = max((part.answers.shape[1] for part in parts), default=0)
        call = np.concatenate([part.call for part in parts] or [np.zeros(0, np.int64)])
        unique, rows = np.unique(call, return_index=True)
        answers = np.zeros((len(call), width), dtype=narrow(catalog))
        at = 0
        for part in parts:
            answers[at : at + len(part), : part.answers.shape[1]] = part.answers
            at += len(part)
        lengths = np.concatenate([np.diff(part.offsets) for part in parts] or [unique])
        items = np.concatenate([part.items for part in parts] or [np.zeros(0, np.int32)])
        names = np.array([name for part in parts for name in part.account], dtype=object)
        whole = len(rows) == len(call) and bool((rows[1:] > rows[:-1]).all())
        starts = np.cumsum(lengths) - lengths
        return cls(
            catalog,
            Calls(
                call=unique,
                account=names[rows].tolist(),
                parent=np.concatenate([part.parent for part in parts] or [unique])[rows],
                items=items if whole else items[ranges(starts[rows], lengths[rows])],
                offsets=np.concatenate([[0], np.cumsum(lengths[rows])]).astype(np.int64),
                k=np.concatenate([part.k for part in parts] or [unique])[rows],
                answers=answers if whole else answers[rows],
            ),
        )

    def __len__(self) -> int:
        """How many calls are recorded."""
        return len(self.calls)

    @cached_property
    def complete(self) -> int:
        """How many calls from the first on are recorded without a gap.

        A gap is what a target leaves that failed in the middle of a chunk.
        """
        gaps = np.flatnonzero(self.calls.call != np.arange(len(self)))
        return int(gaps[0]) if len(gaps) else len(self)

    def rows(self, calls: IntArray) -> IntArray:
        """Where calls ``(n,)`` are recorded: row numbers ``(n,)``, -1 for those that are not."""
        place = np.searchsorted(self.calls.call, calls)
        inside = np.minimum(place, max(len(self) - 1, 0))
        if len(self) == 0:
            return np.full(len(calls), -1)
        return np.where(self.calls.call[inside] == calls, place, -1)

    def history(self, call: int) -> IntArray:
        """The whole history ``(L,)`` that a call asked about.

        Raises:
            RunError: the call, or one that it extends, is not recorded.
        """
        parts: list[npt.NDArray[np.integer]] = []
        while call >= 0:
            row = int(self.rows(np.array([call]))[0])
            if row < 0:
                raise RunError(f"call {call} is not in the transcript of {len(self)} calls")
            parts.append(self.calls.items[self.calls.offsets[row] : self.calls.offsets[row + 1]])
            call = int(self.calls.parent[row])
        return np.concatenate(parts[::-1]).astype(np.int64)

    def calls_by_account(self, calls: int | None = None) -> dict[str, int]:
        """How many of the first ``calls`` calls each account made, in order of appearance."""
        counts: dict[str, int] = {}
        for name in self.calls.account[:calls]:
            counts[name] = counts.get(name, 0) + 1
        return counts

    def chains(self, calls: int | None = None) -> Chains:
        """The first ``calls`` calls (all by default) as sessions, in the order of their first call.

        A session follows the parent links from a history asked without parent; where two calls
        extend the same one, the later of them starts a session of its own with the shared items
        in front. Every call appears exactly once, except one for an empty history, which has no
        position.

        Raises:
            RunError: one of these calls is not recorded.
        """
        count = len(self) if calls is None else calls
        if count > self.complete:
            raise RunError(
                f"the transcript holds the first {self.complete} calls, {count} are needed",
                hint="run the collection again: it asks only what is missing",
            )
        parent = self.calls.parent[:count]
        extending = np.flatnonzero(parent >= 0)
        _, first = np.unique(parent[extending], return_index=True)
        head = np.arange(count)
        head[extending[first]] = parent[extending[first]]
        while (head[head] != head).any():
            head = head[head]
        branches = np.setdiff1d(extending, extending[first])
        order = np.argsort(head, kind="stable")
        lengths = np.diff(self.calls.offsets[: count + 1])
        shared = {int(call): self.history(int(parent[call])) for call in branches}
        added = lengths.copy()
        for call, prefix in shared.items():
            added[call] += len(prefix)
        ends = np.cumsum(added[order])
        items = np.zeros(int(added.sum()), dtype=np.int64)
        flat = ranges(self.calls.offsets[:count][order], lengths[order])
        items[ranges(ends - lengths[order], lengths[order])] = self.calls.items[flat]
        for place in np.flatnonzero(np.isin(order, branches)):
            prefix = shared[int(order[place])]
            start = ends[place] - added[order[place]]
            items[start : start + len(prefix)] = prefix
        heads = head[order]
        starts = np.flatnonzero(np.concatenate([[True], heads[1:] != heads[:-1]])[:count])
        bounds = np.concatenate([[0], ends])[np.concatenate([starts, [count]])]
        asked = added[order] > 0
        answers = np.zeros((len(items), self.calls.answers.shape[1]), dtype=np.int32)
        answers[ends[asked] - 1] = self.calls.answers[:count][order[asked]]
        filled = np.diff(bounds) > 0
        return Chains(items, bounds[np.concatenate([[True], filled])], answers)

"""One request, what is counted of it, and the protocol behind which counting lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from recsec.detection import Fitted, Watch
from recsec.serving.policy import Policy
from recsec.traffic import REPEATS
from recsec.types import IntArray

__all__ = ["NONE", "SHOWN", "Asked", "Event", "Live", "Seen", "observed"]

NONE = np.zeros(0, dtype=np.int64)

SHOWN = 20
"""Last queries of an account that a decision keeps as its evidence."""

TAIL = 10
"""Newest items of a history that are shown."""


@dataclass(frozen=True)
class Event:
    """One answered request.

    Attributes:
        account: the name under which the account is kept.
        key: id of the key with which it was made; empty without keys.
        at: seconds since 1970.
        history: ``(L,)`` catalog indices, oldest first; None where it is not known.
        answer: ``(K,)`` catalog indices that were served.
    """

    account: str
    key: str
    at: float
    history: IntArray | None = None
    answer: IntArray = field(default_factory=lambda: NONE)


@dataclass(frozen=True, eq=False)
class Asked:
    """A query as it is shown afterwards.

    Attributes:
        at: seconds since 1970.
        history: newest items, catalog indices.
        answer: the list.
        kind: ``STARTS``, ``EXTENDS``, ``REPEATS`` or ``BRANCHES``.
        rank: place of the newest item in the list served before; 0 not listed, -1 no such list.
    """

    at: float
    history: IntArray
    answer: IntArray
    kind: int
    rank: int


@dataclass
class Seen:
    """What is known of an account when an event of it has been counted.

    Attributes:
        event: the event.
        first: when the account was seen first.
        counts: by rule about rates, requests of its subject in the window that ends now.
        queries: that detectors judge, this one included; 0 where they have nothing to judge.
        before: as many were judged before: checkpoints after it are still to be judged.
        scores: by label, after the event.
        recent: the last queries.
    """

    event: Event
    first: float
    counts: Mapping[str, float] = field(default_factory=dict)
    queries: int = 0
    before: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    recent: Sequence[Asked] = ()


def observed(watch: Watch, events: Sequence[Event]) -> list[tuple[int, dict[str, float], Asked]]:
    """Let detectors see events with histories.

    Returns:
        Of each event: how many queries there are to judge (0: none), scores, and what is shown.
    """
    histories = [NONE if event.history is None else event.history for event in events]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in histories])]).astype(np.int64)
    width = max(len(event.answer) for event in events)
    answers = np.zeros((len(events), width), dtype=np.int64)
    for row, event in enumerate(events):
        answers[row, : len(event.answer)] = event.answer
    items = np.concatenate(histories).astype(np.int64)
    steps = watch.follower.follow([one.account for one in events], items, offsets, answers)
    queries, scores = watch.observe(steps)
    return [
        (
            0 if steps.kind[row] == REPEATS else int(queries[row]),
            {label: float(values[row]) for label, values in scores.items()},
            Asked(
                event.at,
                histories[row][-TAIL:],
                event.answer,
                int(steps.kind[row]),
                int(steps.rank[row]),
            ),
        )
        for row, event in enumerate(events)
    ]


class Live(Protocol):
    """Counts of the traffic; one thread at a time."""

    lost: bool
    """Whether what is shared cannot be reached, so that this process counts for itself."""

    def look(self, events: Sequence[Event]) -> list[Seen]:
        """Count requests in the order of answering.

        What comes out does not depend on how the requests were cut into batches.
        """
        ...

    def anew(self, policy: Policy, fitted: Fitted | None) -> None:
        """Go on under another policy; with other detectors, evidence begins anew."""
        ...

    def check(self) -> list[Seen]:
        """Reach for what was lost; what was counted meanwhile is merged, and told."""
        ...

    @property
    def began(self) -> float:
        """When the period began."""
        ...

    def recent(self, account: str) -> list[Asked]:
        """Last queries of an account, oldest first, as far as this process knows."""
        ...

    def __contains__(self, account: object) -> bool:
        """Whether an account has evidence in this period, as far as this process knows."""
        ...

    def first(self, account: str) -> float | None:
        """When an account was seen first, as far as this process knows."""
        ...

    def __len__(self) -> int:
        """Accounts with evidence in this period, as far as this process knows."""
        ...

    def save(self, path: Path) -> None:
        """Write what would be lost with the process.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        ...

    def restore(self, path: Path) -> None:
        """Go on from ``save``.

        Raises:
            CheckpointError: the file is broken.
            RunError: it belongs to other detectors.
        """
        ...

"""Request patterns: what an honest user's clients send while the user goes from item to item.

One growing history is only one of them. Another client sends a window, the item at hand or this
visit only; pages are loaded again, show several lists, are fetched ahead; people go back, have two
devices and share an account. ``pattern_log`` plays users through any of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from recsec.data.sequences import Sequences
from recsec.targets.base import Target
from recsec.targets.meter.segments import Calls
from recsec.traffic.clicks import ClickLaw
from recsec.traffic.log import QueryLog
from recsec.traffic.sessions import account_of
from recsec.types import FloatArray, IntArray, Progress

__all__ = ["PATTERNS", "Pattern", "pattern_log"]


class Pattern(BaseModel):
    """How clients turn what a user does into queries. The default is one growing history."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window: int | None = Field(
        default=None, gt=0, description="send so many newest items; None: all"
    )
    visit: float | None = Field(
        default=None, ge=1, description="mean items of a visit, after which the history starts anew"
    )
    again: float = Field(
        default=0.0, ge=0, le=1, description="share of pages that are loaded twice"
    )
    widgets: Literal[1, 2, 3] = Field(
        default=1,
        description="lists on a page: for the history, for the item at hand, the first again",
    )
    back: float = Field(default=0.0, ge=0, lt=1, description="share of steps by the back button")
    devices: int = Field(
        default=1, gt=0, description="each with a history of its own, used in turns"
    )
    persons: int = Field(default=1, gt=0, description="who share the account, each on a device")
    ahead: int = Field(
        default=0, ge=0, description="pages of the list fetched before anyone opens them"
    )


PATTERNS = {
    "growing": Pattern(),
    "window": Pattern(window=20),
    "current-item": Pattern(window=1),
    "session-only": Pattern(visit=5.0),
    "reloads": Pattern(again=1.0),
    "some-reloads": Pattern(again=1 / 3),
    "widgets": Pattern(widgets=3),
    "back-button": Pattern(back=0.2),
    "two-devices": Pattern(devices=2),
    "household": Pattern(persons=3),
    "prefetch": Pattern(ahead=3),
}
"""The patterns under which detectors are fitted and tested."""


@dataclass
class _Line:
    """A device in the hands of a person: the history shown to it and the list on its screen."""

    history: list[int] = field(default_factory=list)
    shown: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass
class _Account:
    """Devices of an account, its persons' own items, and what it asked so far."""

    lines: list[_Line]
    items: list[IntArray]
    place: list[int]
    asked: int = 0
    at: int = 0


def _item(account: _Account, law: ClickLaw, heights: FloatArray, rng: np.random.Generator) -> int:
    """The next item: the person's own, or one of the list on the screen; 0 where none is left."""
    line, person = account.lines[account.at], account.at % len(account.items)
    clicked = 0
    if len(line.shown):
        rank = int(np.searchsorted(heights[:-1], rng.random(), side="right"))
        clicked = int(line.shown[min(rank, len(line.shown) - 1)])
    if clicked and rng.random() < law.acceptance:
        return clicked
    place = account.place[person]
    if place >= len(account.items[person]):
        return 0
    account.place[person] += 1
    own = int(account.items[person][place])
    return clicked if own in line.history and clicked else own


def _requests(
    account: _Account,
    pattern: Pattern,
    law: ClickLaw,
    heights: FloatArray,
    rng: np.random.Generator,
) -> list[list[int]]:
    """One step of an account: the histories that its client sends at once, the page's first."""
    if len(account.lines) > 1 and rng.random() < 0.5:
        account.at = int(rng.integers(len(account.lines)))
    line = account.lines[account.at]
    if len(line.history) > 1 and rng.random() < pattern.back:
        line.history = line.history[:-1]
    else:
        leave = law.restart if pattern.visit is None else 1 / pattern.visit
        if line.history and rng.random() < leave:
            line.history, line.shown = [], np.zeros(0, dtype=np.int64)
        item = _item(account, law, heights, rng)
        if item == 0:
            return []
        line.history = [*line.history, item]
    sent = line.history if pattern.window is None else line.history[-pattern.window :]
    found = [sent]
    if pattern.widgets > 1:
        found.append(line.history[-1:])
    if pattern.widgets > 2:
        found.append(sent)
    if pattern.again and rng.random() < pattern.again:
        found *= 2
    return found


def _answers(target: Target, histories: Sequence[Sequence[int]], k: int) -> IntArray:
    """``(n, k)`` lists for histories of any lengths, asked in order of length."""
    lists = np.zeros((len(histories), k), dtype=np.int64)
    lengths = np.array([len(one) for one in histories], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), 256):
        rows = order[start : start + 256]
        block = np.zeros((len(rows), int(lengths[rows].max())), dtype=np.int64)
        for place, row in enumerate(rows.tolist()):
            block[place, : lengths[row]] = histories[row]
        lists[rows] = target.query("honest", block, k)
    return lists


def pattern_log(
    target: Target,
    sequences: Sequences,
    users: IntArray,
    law: ClickLaw,
    pattern: Pattern,
    *,
    queries: int,
    k: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> QueryLog:
    """Play users through a request pattern, one account each; a log that has order only.

    Accounts end with ``queries`` queries, or when a person has no items left. In a household the
    other persons are other users of ``users``, so accounts then share people.

    Args:
        target: whom they ask.
        sequences: the users' items in the order of their events.
        users: ``(U,)`` user numbers; the account of user u is called ``user-ID``.
        law: how they choose from the list on the screen.
        pattern: what their clients send.
        queries: at most so many per account.
        k: list length.
        rng: all draws.
        progress: is told how many steps were made.
    """
    bounds = sequences.offsets
    people = [sequences.items[bounds[one] : bounds[one + 1]] for one in users.tolist()]
    lines = max(pattern.devices, pattern.persons)
    accounts = [
        _Account(
            [_Line() for _ in range(lines)],
            [people[(at + person * 7) % len(people)] for person in range(pattern.persons)],
            [0] * pattern.persons,
        )
        for at in range(len(people))
    ]
    heights = np.cumsum(law.probabilities(k))
    alive = list(range(len(accounts)))
    names: list[int] = []
    asked: list[list[int]] = []
    served: list[IntArray] = []
    for step in range(queries):
        rows: list[tuple[int, list[int]]] = []
        pages: list[tuple[int, int]] = []
        for at in alive:
            found = _requests(accounts[at], pattern, law, heights, rng)
            if found:
                pages.append((at, len(rows)))
                rows += [(at, history) for history in found]
        lists = _answers(target, [history for _, history in rows], k)
        fetched: list[tuple[int, list[int]]] = []
        for at, row in pages:
            line = accounts[at].lines[accounts[at].at]
            other = row + 1 if pattern.widgets > 1 and rng.random() < 0.5 else row
            line.shown = lists[other][lists[other] > 0]
            fetched += [
                (at, [*rows[row][1], item]) for item in lists[row][: pattern.ahead].tolist() if item
            ]
        if fetched:
            lists = np.concatenate([lists, _answers(target, [one for _, one in fetched], k)])
        together = rows + fetched
        for one in sorted(range(len(together)), key=lambda place: together[place][0]):
            at, history = together[one]
            if accounts[at].asked < queries:
                accounts[at].asked += 1
                names.append(at)
                asked.append(history)
                served.append(lists[one])
        alive = [at for at, _ in pages if accounts[at].asked < queries]
        if progress is not None:
            progress(f"honest traffic ({law.label})", step + 1, queries)
        if not alive:
            break
    calls = Calls(
        call=np.arange(len(asked)),
        account=[account_of(sequences.users[users[at]]) for at in names],
        parent=np.full(len(asked), -1),
        items=np.array([item for history in asked for item in history], dtype=np.int32),
        offsets=np.cumsum([0, *map(len, asked)]),
        k=np.full(len(asked), k),
        answers=np.array(served, dtype=np.int32).reshape(len(asked), k),
    )
    return QueryLog(sequences.catalog, calls)

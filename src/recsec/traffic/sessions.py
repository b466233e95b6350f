"""Honest traffic: held-out users replayed against a target, under an assumed click law.

Each user is one account. Its queries are what the user's client would send: the history so far,
one item longer each time. The next item is the user's own next item, or with probability c one
from the list just served (``ClickLaw``). Logged users never saw our lists, so raw replay (c = 0)
makes any test on lists look better than it is; that is why c is varied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsec.data.sequences import Sequences
from recsec.targets.base import Target
from recsec.targets.meter.segments import Calls
from recsec.traffic.clicks import ClickLaw
from recsec.traffic.log import QueryLog
from recsec.types import IntArray, Progress

__all__ = ["account_of", "honest_log"]

BLOCK = 2048
"""Histories that grow side by side: as many as a local target keeps encoded."""


@dataclass(frozen=True, eq=False)
class _Course:
    """What is drawn before anything is asked, ``(U, Q)`` each.

    ``click``: the item comes from a list; ``source``: place of the user's own item that is used
    (or was used last); ``begins``: the query starts a new history; ``alive``: the user still has
    items of their own.
    """

    click: npt.NDArray[np.bool_]
    source: IntArray
    begins: npt.NDArray[np.bool_]
    alive: npt.NDArray[np.bool_]


def _course(lengths: IntArray, law: ClickLaw, queries: int, rng: np.random.Generator) -> _Course:
    shape = (len(lengths), queries)
    begins = rng.random(shape) < law.restart
    begins[:, 0] = True
    click = (rng.random(shape) < law.acceptance) & ~begins
    source = np.cumsum(~click, axis=1) - 1
    return _Course(click, source, begins, source < lengths[:, None])


def account_of(user: object) -> str:
    """The account of the user with this external id."""
    return f"user-{user}"


def honest_log(
    target: Target,
    sequences: Sequences,
    users: IntArray,
    law: ClickLaw,
    *,
    queries: int,
    k: int,
    rng: np.random.Generator,
    times: IntArray | None = None,
    progress: Progress | None = None,
) -> QueryLog:
    """Replay users as accounts.

    A user who runs out of items ends there, so accounts may have fewer than ``queries`` queries.

    Args:
        target: whom they ask.
        sequences: the users' items in the order of their events.
        users: ``(U,)`` user numbers; the account of user u is called ``user-ID``.
        law: the assumed click law.
        queries: at most so many per account.
        k: list length.
        rng: draws of clicks, ranks and restarts.
        times: ``(T,)`` clock time of each item of ``sequences``; queries are then in order of
            time. Without them accounts take turns, and the log has order only.
        progress: is told how many queries were made.
    """
    course = _course(sequences.lengths[users], law, queries, rng)
    user, step = np.nonzero(course.alive)
    first = np.flatnonzero(course.begins[user, step])
    sizes = np.diff(np.append(first, len(user)))
    items = np.zeros(len(user), dtype=np.int64)
    answers = np.zeros((len(user), k), dtype=np.int32)
    own = sequences.items[sequences.offsets[users][user] + course.source[user, step]]
    taken = course.click[user, step]
    order = np.argsort(-sizes, kind="stable")
    done = 0
    for start in range(0, len(order), BLOCK):
        rows, long = first[order[start : start + BLOCK]], sizes[order[start : start + BLOCK]]
        histories = np.zeros((len(rows), int(long.max())), dtype=np.int64)
        lists = np.zeros((len(rows), k), dtype=np.int64)
        for at in range(histories.shape[1]):
            live = int((long > at).sum())
            now = rows[:live] + at
            item = own[now]
            if at:
                clicked = law.draw(lists[:live], rng)
                known = (histories[:live, :at] == item[:, None]).any(axis=1)
                item = np.where((taken[now] | known) & (clicked > 0), clicked, item)
            histories[:live, at] = items[now] = item
            lists = target.query("honest", np.ascontiguousarray(histories[:live, : at + 1]), k)
            answers[now] = lists
            done += live
            if progress is not None:
                progress(f"honest traffic ({law.label})", done, len(user))
    clock = None
    if times is not None:
        clock = times[sequences.offsets[users][user] + course.source[user, step]].astype(np.int64)
    moment = step if clock is None else clock
    place = np.lexsort((step, user, moment))
    number = np.empty(len(user), dtype=np.int64)
    number[place] = np.arange(len(user))
    parent = np.where(course.begins[user, step], -1, np.roll(number, 1))
    names = [account_of(one) for one in sequences.users[users]]
    calls = Calls(
        call=np.arange(len(user)),
        account=[names[one] for one in user[place]],
        parent=parent[place],
        items=items[place].astype(np.int32),
        offsets=np.arange(len(user) + 1),
        k=np.full(len(user), k),
        answers=answers[place],
    )
    return QueryLog(sequences.catalog, calls, None if clock is None else clock[place])

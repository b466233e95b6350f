"""Does a source work, and for which commands? A few questions before anything is spent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recsec.library.opening import OWNER, open_api
from recsec.sources import COMMANDS, Capability, kind_of_source, lacking

if TYPE_CHECKING:
    from recsec.data import Dataset
    from recsec.targets import Unknown

__all__ = ["CheckedSource", "Question", "check_source"]

SHOWN = 3
"""Questions that are asked alone, timed and shown."""

ROWS = 8
"""Histories of the check that every audit begins with."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question that was asked alone.

    Attributes:
        sent: the history, in the user's own ids, oldest first.
        answered: the list that was understood, in the user's own ids.
        seconds: until it was there.
    """

    sent: list[Any]
    answered: list[Any]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CheckedSource:
    """What ``check_source`` found; a source that cannot be audited raises instead.

    Attributes:
        kind: of ``recsec.sources.KINDS``.
        gives: what the opened source can do.
        questions: asked alone.
        calls: made in all.
        shortest: length of the shortest list.
        longest: of the longest.
        ordered: a shorter list is the beginning of a longer one.
        own_history: share of listed items that the history held.
        defects: what a sound recommender does not do and an audit survives.
        unknown: listed ids that the catalog lacks.
        lacks: by command, what it needs beyond ``gives``; empty where the command works.
    """

    kind: str
    gives: frozenset[Capability]
    questions: tuple[Question, ...]
    calls: int
    shortest: int
    longest: int
    ordered: bool
    own_history: float
    defects: tuple[str, ...]
    unknown: Unknown
    lacks: dict[str, list[Capability]]


def check_source(
    spec: str, data: Dataset, *, k: int = 10, authorised: bool = False
) -> CheckedSource:
    """Open a source, ask a few questions, and say what works with it.

    Args:
        spec: as ``--model`` takes it.
        data: whose users are asked about.
        k: list length.
        authorised: the owner of a target beyond this machine agreed that it is asked.

    Raises:
        TargetError: it fails, breaks its contract, does not repeat itself, or does not look at the
            history.
        RecsecError: it cannot be opened.
    """
    from recsec.targets import capabilities_of, preflight, unknown_items

    target = open_api(spec, data, authorised=authorised)
    histories = next(data.split().batches("test", size=ROWS)).histories
    questions = []
    for history in histories[:SHOWN]:
        begun = time.perf_counter()
        answer = target.query(OWNER, history[None], k)[0]
        seconds = time.perf_counter() - begun
        sent, got = (target.catalog.external(row) for row in (history, answer))
        questions.append(Question(sent=sent, answered=got, seconds=seconds))
    found = preflight(target, histories, k, account=OWNER)
    gives = capabilities_of(target)
    return CheckedSource(
        kind=kind_of_source(spec, "extraction").name,
        gives=gives,
        questions=tuple(questions),
        calls=found.calls + len(questions),
        shortest=found.shortest,
        longest=found.longest,
        ordered=found.ordered,
        own_history=found.own_history,
        defects=found.defects,
        unknown=unknown_items(target),
        lacks={
            words: lacking(words, gives)
            for words, command in COMMANDS.items()
            if command.threat == "extraction"
        },
    )

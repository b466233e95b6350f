"""Ask a few recorded calls again: is this still the target that answered them?"""

from __future__ import annotations

import numpy as np

from recsec.errors import RunError, TargetError
from recsec.targets.base import Stateful, Target, check_answer
from recsec.targets.meter.transcript import Transcript

__all__ = ["SPOTS", "spot_check"]

SPOTS = 3
"""Recorded calls that are asked again when a run is resumed."""


def spot_check(target: Target, transcript: Transcript, *, name: str, count: int = SPOTS) -> int:
    """Ask evenly spaced recorded calls again, the last one among them.

    A recommender of this process is not asked: its files decide what it answers, and guards that
    remember would count the questions.

    Args:
        target: whom to ask.
        transcript: what it answered before.
        name: how errors call the record.
        count: calls at most.

    Returns:
        Calls that were made.

    Raises:
        TargetError: the target failed.
        RunError: it answers otherwise now.
    """
    if isinstance(target, Stateful) or len(transcript) == 0:
        return 0
    calls = transcript.calls
    rows = np.unique(np.linspace(0, len(transcript) - 1, count + 1).round().astype(int)[1:])
    for made, row in enumerate(rows.tolist(), 1):
        k, account = int(calls.k[row]), calls.account[row]
        history = transcript.history(int(calls.call[row]))
        recorded = calls.answers[row][:k]
        try:
            answer = target.query(account, history[None], k)
        except TargetError as error:
            raise TargetError(
                f"recorded calls of {name} were to be asked again, and call {calls.call[row]} "
                f"failed: {error.message}",
                hint=error.hint,
            ) from error
        now = check_answer(answer, rows=1, k=k, items=len(transcript.catalog))[0]
        if now[now > 0].tolist() != recorded[recorded > 0].tolist():
            raise RunError(
                f"the target is another one than {name} was recorded from: call "
                f"{calls.call[row]} was answered {_words(transcript, recorded)} then, and is "
                f"answered {_words(transcript, now)} now ({made} of {len(rows)} asked again)",
                hint="bring back the target that answered then, or give --out another folder",
            )
    return len(rows)


def _words(transcript: Transcript, row: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> str:
    """The beginning of a list in external ids."""
    ids = transcript.catalog.external(row.astype(np.int64))
    shown = ", ".join(str(item) for item in ids[:5])
    return f"[{shown}{', ...' if len(ids) > 5 else ''}]"

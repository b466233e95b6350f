"""What the verifier asks: histories of real people, and the same with a trigger at the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsec.data.sequences import Split, pad
from recsec.errors import ConfigError
from recsec.targets.guards import triggers
from recsec.types import IntArray

__all__ = ["Questions", "draw_questions"]

PROBES = 1 / 3
"""Share of the questions that carry a trigger."""


@dataclass(frozen=True, eq=False)
class Questions:
    """Everything that a suspect is asked; the same for all keys that it is tested against.

    Attributes:
        histories: ``(Q, L)`` int64, plain ones first, then probes in rounds over the triggers.
        plain: how many carry no trigger.
        triggers: ``(m,)`` the trigger items.
    """

    histories: IntArray
    plain: int
    triggers: IntArray

    @property
    def rounds(self) -> int:
        """How often each trigger is probed."""
        return (len(self.histories) - self.plain) // max(1, len(self.triggers))


def draw_questions(
    split: Split, key: bytes, *, queries: int, rng: np.random.Generator
) -> Questions:
    """Draw users for plain questions, and for every probe one whose history lacks the trigger.

    Args:
        split: the owner's data; histories are train and validation items.
        key: gives the triggers. Which users are drawn does not depend on its other half, the
            replies and the green items, and that is what is tested.
        queries: how many questions; a third of them are probes if that is a probe per trigger.
        rng: draws the users.

    Raises:
        ConfigError: too few questions.
    """
    if queries < 20:
        raise ConfigError(f"{queries} queries prove nothing", hint="give at least 20")
    counts = split.train.counts
    try:
        chosen = triggers(key, counts)
    except ConfigError:
        chosen = np.zeros(0, dtype=np.int64)
    rounds = int(queries * PROBES) // max(1, len(chosen))
    users = len(split.full)
    plain = min(queries - rounds * len(chosen), users)
    rows = [split.history("test", int(user)) for user in rng.choice(users, plain, replace=False)]
    for _ in range(rounds):
        for trigger in chosen:
            history = split.history("test", int(rng.integers(users)))
            rows.append(np.append(history[history != trigger], trigger))
    return Questions(pad(rows), plain, chosen if rounds else chosen[:0])

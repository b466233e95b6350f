"""Young accounts pooled: whoever leaves each account before it is judged is seen here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from recsec.detection import Fitted, Pooled
from recsec.rng import Streams
from recsec.serving.live import Seen
from recsec.serving.policy import Policy
from recsec.types import FloatArray

__all__ = ["LOOKS", "PoolLook", "Young", "cannot_pool"]

LOOKS = 24
"""Looks at pools in the time for which an account is young, at most; they share a rule's level."""

LEAST = 50
"""Accounts of a pool below which it waits."""

MOST = 300
"""Newest accounts that are compared."""

KEPT = 500
"""Newest looks that are kept."""

SHOWN = 20
"""Accounts of a pool that a decision names."""


@dataclass(frozen=True)
class PoolLook:
    """A look at young accounts together.

    Attributes:
        at: seconds since 1970.
        queries: of each account that were looked at.
        found: what they show.
        names: those of them that are furthest from people's mean, at most 20.
    """

    at: float
    queries: int
    found: Pooled
    names: tuple[str, ...]


def cannot_pool(fitted: Fitted | None) -> str | None:
    """Why these detectors say nothing about pools; None if they do."""
    if fitted is None:
        return "the policy names no detectors"
    if fitted.population is None:
        return "the detectors were fitted by an older recsec, which kept no people to compare with"
    if not fitted.population.enough:
        return "the detectors were fitted to too few people to compare a pool with"
    return None


class Young:
    """Collects what accounts looked like after their first queries, and compares them with people.

    Args:
        policy: how long an account is young.
        fitted: the detectors; None without.
    """

    def __init__(self, policy: Policy, fitted: Fitted | None) -> None:
        self._policy = policy
        self._fitted = fitted
        self._waiting: dict[str, tuple[float, FloatArray]] = {}
        self._since: float | None = None
        self._number = 0
        self.looks: deque[PoolLook] = deque(maxlen=KEPT)
        """The newest last."""

    def anew(self, policy: Policy, fitted: Fitted | None) -> None:
        """Go on under another policy; with other detectors, pools begin anew."""
        self._policy = policy
        if fitted is not self._fitted:
            self._fitted = fitted
            self._waiting.clear()

    def told(self) -> str:
        """What the next look waits for, or why there is none."""
        why = cannot_pool(self._fitted)
        if why is not None or self._fitted is None or self._fitted.population is None:
            return f"not computed: {why}"
        number, queries = len(self._waiting), self._fitted.population.queries
        if number < LEAST:
            return f"{number} of {LEAST} young accounts with {queries} queries"
        return f"{number} young accounts; looked at again soon"

    def take(self, seen: Seen) -> PoolLook | None:
        """Count an event; a look, if it is time for one."""
        population = None if self._fitted is None else self._fitted.population
        if population is None or not population.enough or seen.queries != population.queries:
            return None
        at, young = seen.event.at, self._policy.young
        if at - seen.first >= young:
            return None
        self._since = at if self._since is None else self._since
        vector = np.array([seen.scores[label] for label in population.labels], dtype=np.float64)
        self._waiting[seen.event.account] = at, vector
        if len(self._waiting) > MOST:
            del self._waiting[next(iter(self._waiting))]
        if len(self._waiting) < LEAST or at - self._since < young / LOOKS:
            return None
        kept = {name: one for name, one in self._waiting.items() if at - one[0] < young}
        if len(kept) < LEAST:
            self._waiting = kept
            return None
        self._waiting, self._since, self._number = {}, at, self._number + 1
        rows = np.array([row for _, row in kept.values()])
        found = population.test(rows, rng=Streams(self._number).numpy("pool"))
        look = PoolLook(at, population.queries, found, _furthest(rows, list(kept), found))
        self.looks.append(look)
        return look


def _furthest(rows: FloatArray, names: list[str], found: Pooled) -> tuple[str, ...]:
    """Accounts that go furthest the way in which the pool lies apart from people."""
    along = rows / np.maximum(rows.std(axis=0), 1e-9) @ np.array(list(found.apart.values()))
    return tuple(names[row] for row in np.argsort(-along, kind="stable")[:SHOWN].tolist())

"""Accounts that ask alike: linked every so often, and judged by the sum of their evidence."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsec.detection import COMBINED, Fitted, surprise
from recsec.serving.live import Asked, Seen
from recsec.serving.policy import Policy
from recsec.serving.together.young import LOOKS
from recsec.targets.meter.segments import Calls
from recsec.traffic import QueryLog

__all__ = ["Cluster", "ClusterLook", "Linked", "cannot_link", "log_of"]

LEAST = 50
"""Accounts below which nothing is linked."""

MOST = 2000
"""Accounts that asked last, which are linked; their last 20 queries are looked at."""

KEPT = 10
"""Clusters of a look that are kept, the most suspicious first."""


@dataclass(frozen=True)
class Cluster:
    """Accounts that ask alike.

    Attributes:
        names: the most suspicious first.
        p_value: how often honest accounts that ask alike show so much together.
        odd: how many of them have a p-value up to 0.05.
    """

    names: tuple[str, ...]
    p_value: float
    odd: int


@dataclass(frozen=True)
class ClusterLook:
    """A look at all accounts that asked last.

    Attributes:
        at: seconds since 1970.
        accounts: that were compared.
        clusters: the most suspicious first.
    """

    at: float
    accounts: int
    clusters: tuple[Cluster, ...]


def cannot_link(fitted: Fitted | None) -> str | None:
    """Why these detectors say nothing about clusters; None if they do."""
    if fitted is None:
        return "the policy names no detectors"
    if fitted.alike is None or fitted.linker is None:
        return "the detectors were fitted by an older recsec, which kept no honest clusters"
    if not fitted.alike.enough:
        return "among the people of the fit too few ask alike to compare clusters with"
    return None


class Linked:
    """Remembers what accounts asked last, and links them.

    Args:
        policy: how long evidence counts.
        fitted: the detectors; None without.
    """

    def __init__(self, policy: Policy, fitted: Fitted | None) -> None:
        self._policy = policy
        self._fitted = fitted
        self._last: OrderedDict[str, Seen] = OrderedDict()
        self._since: float | None = None
        self.looks: deque[ClusterLook] = deque(maxlen=500)
        """The newest last."""

    def anew(self, policy: Policy, fitted: Fitted | None) -> None:
        """Go on under another policy; with other detectors, from the beginning."""
        self._policy = policy
        if fitted is not self._fitted:
            self._fitted = fitted
            self._last.clear()

    def told(self) -> str:
        """What the next look waits for, or why there is none."""
        why = cannot_link(self._fitted)
        if why is not None:
            return f"not computed: {why}"
        if len(self._last) < LEAST:
            return f"{len(self._last)} of {LEAST} accounts with enough queries"
        return f"{len(self._last):,} accounts; linked again soon"

    def take(self, seen: Seen) -> ClusterLook | None:
        """Count an event; a look, if it is time for one."""
        fitted, period = self._fitted, self._policy.period
        if fitted is None or cannot_link(fitted) is not None:
            return None
        if seen.queries < int(fitted.calibrations[COMBINED].checkpoints[0]):
            return None
        at, name = seen.event.at, seen.event.account
        self._since = at if self._since is None else self._since
        self._last[name] = seen
        self._last.move_to_end(name)
        while len(self._last) > MOST or at - next(iter(self._last.values())).event.at >= period:
            self._last.popitem(last=False)
        if len(self._last) < LEAST or at - self._since < period / LOOKS:
            return None
        self._since = at
        look = ClusterLook(at, len(self._last), self._clusters(fitted))
        self.looks.append(look)
        return look

    def _clusters(self, fitted: Fitted) -> tuple[Cluster, ...]:
        names = sorted(self._last)
        last = [self._last[name] for name in names]
        p_values = fitted.calibrations[COMBINED].p_values(
            np.array([one.scores[COMBINED] for one in last]),
            np.array([one.queries for one in last], dtype=np.int64),
        )
        if fitted.linker is None or fitted.alike is None:
            return ()
        log = log_of(fitted, names, [one.recent for one in last])
        labels = fitted.linker.link(log, names)
        together = fitted.alike.p_values(surprise(p_values), labels)
        found = []
        for label in range(int(labels.max(initial=-1)) + 1):
            rows = np.flatnonzero(labels == label)
            rows = rows[np.argsort(p_values[rows], kind="stable")]
            members = tuple(names[row] for row in rows.tolist())
            odd = int((p_values[rows] <= 0.05).sum())
            found.append(Cluster(members, float(together[rows[0]]), odd))
        return tuple(sorted(found, key=lambda one: (one.p_value, -len(one.names)))[:KEPT])


def log_of(fitted: Fitted, names: Sequence[str], recent: Sequence[Sequence[Asked]]) -> QueryLog:
    """The last queries of some accounts as a log."""
    asked = [(name, one) for name, own in zip(names, recent, strict=True) for one in own]
    n = len(asked)
    calls = Calls(
        call=np.arange(n),
        account=[name for name, _ in asked],
        parent=np.full(n, -1),
        items=np.concatenate([np.zeros(0, np.int64), *(one.history for _, one in asked)]),
        offsets=np.cumsum([0, *(len(one.history) for _, one in asked)]),
        k=np.zeros(n, dtype=np.int64),
        answers=np.zeros((n, 0), dtype=np.int64),
    )
    return QueryLog(fitted.catalog, calls)

"""What the dashboard sees of the evidence: small copies, made by the evidence's own thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsec.detection import COMBINED, Fitted
from recsec.serving.evidence import Asked, Evidence, Judged
from recsec.serving.together import ClusterLook, PoolLook, log_of
from recsec.types import FloatArray, IntArray

__all__ = ["LOOKS", "MOST", "Portrait", "Seen", "Suspect", "View", "portray", "see"]

MOST = 20
"""Accounts that are shown, the most suspicious first."""

LOOKS = 300
"""Newest looks at accounts that are shown."""

ODD = 0.05
"""Accounts with a p-value up to this are compared with each other."""


@dataclass(frozen=True)
class View:
    """What one detector sees in an account.

    Attributes:
        label: of the detector.
        score: of the account.
        median: of honest accounts after as many queries.
        top: their 99th percentile.
        p_value: 1 below the first number of queries after which accounts are compared.
        combined: whether it counts in the combination.
    """

    label: str
    score: float
    median: float
    top: float
    p_value: float
    combined: bool


@dataclass(frozen=True)
class Suspect:
    """An account with evidence.

    Attributes:
        account: the name under which it is kept.
        queries: all of them.
        judged: those that repeat none.
        p_value: of all detectors together.
        views: the most suspicious first, those that count before the others.
        young: whether the account is.
        cluster: number of those that ask alike; None for one that stands alone.
    """

    account: str
    queries: int
    judged: int
    p_value: float
    views: tuple[View, ...]
    young: bool
    cluster: int | None = None


@dataclass(frozen=True)
class Seen:
    """A copy.

    Attributes:
        at: when it was made, seconds since 1970.
        took: seconds.
        began: when the period began.
        tracked: accounts with evidence in it.
        first: queries from which on an account is judged; 0 without detectors.
        suspects: the most suspicious first.
        pool: the newest look at young accounts together; None before the first.
        waiting: what the next look at them waits for, or why there is none.
        alike: the newest look at accounts that ask alike; None before the first.
        unlinked: what the next such look waits for, or why there is none.
        looks: the newest, oldest first.
    """

    at: float
    took: float = 0.0
    began: float = 0.0
    tracked: int = 0
    first: int = 0
    suspects: tuple[Suspect, ...] = ()
    pool: PoolLook | None = None
    waiting: str = ""
    alike: ClusterLook | None = None
    unlinked: str = ""
    looks: tuple[Judged, ...] = ()


@dataclass(frozen=True)
class Portrait:
    """One account.

    Attributes:
        suspect: None where it has no evidence in this period.
        first_seen: seconds since 1970, as far as that is kept.
        asked: its last queries, oldest first.
        looks: all that are kept.
    """

    suspect: Suspect | None
    first_seen: float | None
    asked: tuple[Asked, ...]
    looks: tuple[Judged, ...]


def see(evidence: Evidence, at: float) -> Seen:
    """Copy what the page shows; the whole table of accounts is computed once."""
    began = time.perf_counter()
    looks = tuple(list(evidence.judged)[-LOOKS:])
    fitted, watch = evidence.fitted, evidence.watch
    seen = Seen(
        at,
        began=evidence.began,
        tracked=len(evidence),
        looks=looks,
        pool=evidence.young.looks[-1] if evidence.young.looks else None,
        waiting=evidence.young.told(),
        alike=evidence.linked.looks[-1] if evidence.linked.looks else None,
        unlinked=evidence.linked.told(),
    )
    if fitted is None or watch is None:
        return seen
    names = watch.names
    queries, judged, scores = watch.standing(names)
    p_values = fitted.calibrations[COMBINED].p_values(scores[COMBINED], judged)
    worst = np.lexsort((-judged, p_values))[:MOST]
    own = {label: values[worst] for label, values in scores.items()}
    chosen = [names[row] for row in worst.tolist()]
    found = _suspects(evidence, fitted, chosen, (queries[worst], judged[worst], own), at)
    first = int(fitted.calibrations[COMBINED].checkpoints[0])
    odd = [one for one in found if one.p_value <= ODD]
    linked = dict(zip((one.account for one in odd), _clusters(evidence, fitted, odd), strict=True))
    return replace(
        seen,
        took=time.perf_counter() - began,
        first=first,
        suspects=tuple(replace(one, cluster=linked.get(one.account)) for one in found),
    )


def portray(evidence: Evidence, account: str, at: float) -> Portrait:
    """Copy what is known of one account."""
    fitted, watch, found = evidence.fitted, evidence.watch, list[Suspect]()
    if fitted is not None and watch is not None and account in evidence:
        found = _suspects(evidence, fitted, [account], watch.standing([account]), at)
    return Portrait(
        suspect=found[0] if found else None,
        first_seen=evidence.first_seen(account),
        asked=tuple(evidence.recent(account)),
        looks=tuple(one for one in list(evidence.judged) if one.account == account),
    )


def _suspects(
    evidence: Evidence,
    fitted: Fitted,
    names: Sequence[str],
    standing: tuple[IntArray, IntArray, dict[str, FloatArray]],
    at: float,
) -> list[Suspect]:
    queries, judged, scores = standing
    points = fitted.calibrations[COMBINED].checkpoints
    place = np.searchsorted(points, judged, side="right") - 1
    p_values = {
        label: fitted.calibrations[label].p_values(values, judged)
        for label, values in scores.items()
    }
    out = []
    for row, name in enumerate(names):
        views = []
        for label in fitted.detectors if place[row] >= 0 else ():
            honest = fitted.calibrations[label].scores[place[row]]
            median, top = np.quantile(honest, [0.5, 0.99]) if len(honest) else (0.0, 0.0)
            views.append(
                View(
                    label,
                    float(scores[label][row]),
                    float(median),
                    float(top),
                    float(p_values[label][row]),
                    label in fitted.scales,
                )
            )
        views.sort(key=lambda view: (not view.combined, view.p_value, -_beyond(view)))
        seen = evidence.first_seen(name)
        out.append(
            Suspect(
                account=name,
                queries=int(queries[row]),
                judged=int(judged[row]),
                p_value=float(p_values[COMBINED][row]),
                views=tuple(views),
                young=seen is not None and at - seen < evidence.policy.young,
            )
        )
    return out


def _beyond(view: View) -> float:
    return (view.score - view.median) / max(view.top - view.median, 1e-9)


def _clusters(evidence: Evidence, fitted: Fitted, odd: Sequence[Suspect]) -> list[int | None]:
    """Which of the odd accounts ask alike, by their last queries."""
    if fitted.linker is None or len(odd) < 2:
        return [None] * len(odd)
    names = [one.account for one in odd]
    log = log_of(fitted, names, [evidence.recent(name) for name in names])
    if len(log) == 0:
        return [None] * len(odd)
    labels = fitted.linker.link(log, names)
    return [None if label < 0 else int(label) + 1 for label in labels.tolist()]

"""Why is an account suspicious? Its queries, and what each detector sees in them."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import getdoc
from typing import Any

import numpy as np

from recsec.detection.calibration import COMBINED
from recsec.detection.detectors.asking import Asking
from recsec.detection.detectors.transition import Transition
from recsec.detection.verdict.check import APART, LABEL
from recsec.detection.watch import Fitted
from recsec.errors import DataError
from recsec.traffic import QueryLog

__all__ = ["Explained", "explain"]

KINDS = ("starts", "goes on", "repeats", "branches off")


@dataclass(frozen=True)
class Explained:
    """What is known of one account.

    Attributes:
        account: its name.
        queries: how many it made.
        judged: how many of them repeat none.
        p_value: as ``judge`` has it before the check of fit; 1 below the first checkpoint.
        checkpoint: number of queries after which honest accounts are compared; 0 below the first.
        views: one for each detector: ``detector``, ``combined`` (whether its finding counts),
            ``score``, ``median`` and ``top`` (99th percentile) of honest accounts, ``p_value``,
            ``words``.
        asks: in words, how far its way of asking is from what the fit knows; None if it is known.
        steps: one for each query: ``query`` (number from 1), ``step``, ``item`` (the newest),
            ``rank`` (in the list served before; 0 not listed, None no list), ``surprise``.
    """

    account: str
    queries: int
    judged: int
    p_value: float
    checkpoint: int
    views: tuple[dict[str, Any], ...]
    asks: str | None
    steps: tuple[dict[str, Any], ...]


def explain(fitted: Fitted, log: QueryLog, account: str) -> Explained:
    """Watch one account alone.

    Raises:
        DataError: the log doesn't have the account.
    """
    rows = np.flatnonzero(np.array(log.calls.account) == account)
    if len(rows) == 0:
        raise DataError(
            f"the log has no account {account!r}",
            hint="recsec detect LOG --detectors DIR --json lists the accounts",
        )
    watch = fitted.watch()
    steps = watch.follower.follow_rows(log, rows)
    watch.observe(steps)
    table, judged = watch.accounts(), watch.judged(account)
    points = fitted.calibrations[COMBINED].checkpoints
    at = int(np.searchsorted(points, judged, side="right")) - 1
    views = []
    for label, one in watch.detectors.items():
        score, honest = table[f"score[{label}]"], fitted.calibrations[label]
        reached = honest.scores[max(at, 0)]
        middle, top = np.quantile(reached, [0.5, 0.99]) if len(reached) else (None, None)
        views.append(
            {
                "detector": label,
                "combined": label in fitted.scales,
                "score": score[0],
                "median": middle,
                "top": top,
                "p_value": float(honest.p_values(score.to_numpy(), np.array([judged]))[0]),
                "words": (getdoc(type(one)) or label).splitlines()[0],
            }
        )
    asking, asks = watch.detectors.get(LABEL), None
    if isinstance(asking, Asking) and at >= 0 and len(asking.fitted["known"]):
        reach = fitted.calibrations[LABEL].scores[at].max(initial=APART)
        if asking.scores()[1][0] > reach:
            asks = asking.oddest(asking.shares(asking.counts)[0])
    transition = next((one for one in watch.detectors.values() if type(one) is Transition), None)
    items, before, row = steps.pairs()
    surprise = transition.surprise(items, before) if transition is not None else None
    last = {at: place for place, at in enumerate(row.tolist())}
    told = []
    for number in range(len(rows)):
        place, rank = last.get(number), int(steps.rank[number])
        known = surprise is not None and place is not None and bool(before[place] > 0)
        newest = steps.items[steps.offsets[number + 1] - 1] if steps.offsets[number + 1] else 0
        told.append(
            {
                "query": number + 1,
                "step": KINDS[steps.kind[number]],
                "item": None if newest == 0 else fitted.catalog.ids[newest - 1].item(),
                "rank": None if rank < 0 else rank,
                "surprise": float(surprise[place]) if known else None,  # type: ignore[index]
            }
        )
    return Explained(
        account=account,
        queries=len(rows),
        judged=judged,
        p_value=float(table["p_value"][0]),
        checkpoint=int(points[at]) if at >= 0 else 0,
        views=tuple(sorted(views, key=lambda view: (not view["combined"], view["p_value"]))),
        asks=asks,
        steps=tuple(told),
    )

"""Does the fit know how these accounts ask? Where many ask otherwise, nothing is said of them."""

from __future__ import annotations

import numpy as np
import scipy

from recsec.detection.detectors.asking import Asking
from recsec.detection.watch import Watch

__all__ = ["APART", "LABEL", "strange_ways"]

LABEL = "asking"

APART = 0.15
"""Largest difference of a share between accounts that count as asking alike."""

EDGE = 2 * APART
"""The same to the nearest account inside a crowd, for one at its edge."""

CROWD = 20
"""Accounts that ask alike, below which they may be a thief's."""

SHARE = 0.02
"""The same as a share of the accounts with enough queries."""

MOST = 5000
"""Odd accounts among which crowds are looked for; of more, an even sample."""


def strange_ways(watch: Watch) -> dict[str, str]:
    """Accounts of which nothing can be said, and why.

    Such an account asks in a way that is further from every fitted account's than any calibration
    account's is, and it stands in a crowd of at least 20 such accounts, and 2 % of all, that ask
    alike (DBSCAN). Fewer than that may be thieves, who ask as no person does; so many have a client
    that the fit doesn't know.
    """
    asking, calibration = watch.detectors.get(LABEL), watch.fitted.calibrations.get(LABEL)
    if not isinstance(asking, Asking) or calibration is None or not len(asking.fitted["known"]):
        return {}
    names, distance = asking.scores()
    shares = asking.shares(asking.counts)
    judged = np.array([watch.judged(name) for name in names], dtype=np.int64)
    place = np.searchsorted(calibration.checkpoints, judged, side="right") - 1
    reach = np.array([max([APART, *honest.tolist()]) for honest in calibration.scores])
    # a client that repeats a lot leaves accounts without a verdict, which show it all the same
    able = asking.counts[:, 0] >= calibration.checkpoints[0]
    order = np.argsort(np.array(names, dtype=np.str_), kind="stable")
    odd = np.flatnonzero(able & (distance > reach[np.maximum(place, 0)]))
    odd = order[np.isin(order, odd)]  # by name: in whatever order they were seen
    enough = max(CROWD, SHARE * able.sum())
    if len(odd) < enough:
        return {}
    from sklearn.cluster import DBSCAN  # takes half a second, and few logs need it

    some = odd[:: 1 + len(odd) // MOST]
    crowds = DBSCAN(
        eps=APART,
        min_samples=max(2, int(enough * len(some) / len(odd))),
        metric="chebyshev",
        algorithm="kd_tree",
    ).fit(shares[some])
    core = some[crowds.core_sample_indices_]
    if len(core) == 0:
        return {}
    away, nearest = scipy.spatial.cKDTree(shares[core]).query(shares[odd], p=np.inf)
    crowd = np.where(away <= EDGE, crowds.labels_[crowds.core_sample_indices_][nearest], -1)
    found = {}
    for at, number in zip(odd.tolist(), crowd.tolist(), strict=True):
        if number >= 0 and judged[at] >= calibration.checkpoints[0]:
            size = int((crowd == number).sum())
            found[names[at]] = f"{asking.oddest(shares[at])}; {size:,} accounts ask so"
    return found

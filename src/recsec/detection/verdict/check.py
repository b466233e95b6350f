"""Does the fit know how these accounts ask? Where many ask otherwise, nothing is said of them."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from recsec.detection.detectors.asking import Asking
from recsec.detection.watch import Watch

__all__ = ["APART", "LABEL", "strange_ways"]

LABEL = "asking"

APART = 0.15
"""Largest difference of a share between accounts that count as asking alike."""

CROWD = 20
"""Accounts that ask alike, below which they may be a thief's."""

SHARE = 0.02
"""The same as a share of the accounts that are judged."""


def strange_ways(watch: Watch) -> dict[str, str]:
    """Accounts of which nothing can be said, and why.

    Such an account asks in a way that is further from every fitted account's than any calibration
    account's is, and so do at least 20 others, and 2 % of the accounts, who ask like it. Fewer than
    that may be thieves, who ask as no person does; so many have a client that the fit doesn't know.
    """
    asking, calibration = watch.detectors.get(LABEL), watch.fitted.calibrations.get(LABEL)
    if not isinstance(asking, Asking) or calibration is None or not len(asking.fitted["known"]):
        return {}
    names, distance = asking.scores()
    shares = asking.shares(asking.counts)
    judged = np.array([watch.judged(name) for name in names], dtype=np.int64)
    place = np.searchsorted(calibration.checkpoints, judged, side="right") - 1
    reach = np.array([max([APART, *honest.tolist()]) for honest in calibration.scores])
    able = place >= 0
    odd = np.flatnonzero(able & (distance > reach[np.maximum(place, 0)]))
    if len(odd) < CROWD:
        return {}
    tree = cKDTree(shares[odd])
    alike = tree.query_ball_point(shares[odd], APART, p=np.inf, return_length=True)
    many = alike >= max(CROWD, SHARE * able.sum())
    found = {}
    for at, others in zip(odd[many].tolist(), alike[many].tolist(), strict=True):
        found[names[at]] = f"{asking.oddest(shares[at])}; {others:,} accounts ask so"
    return found

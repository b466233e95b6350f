"""How well scores tell thieves' accounts from honest ones: p-values, rates, and what it costs.

Scores are higher for accounts that look less honest. Rates are about accounts, never queries.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsec.stats import Estimate, clopper_pearson
from recsec.types import FloatArray, IntArray

__all__ = [
    "accounts_needed",
    "benjamini_hochberg",
    "confusion",
    "empirical_p_values",
    "queries_to_detection",
    "tail_p_values",
    "threshold_at",
    "true_positive_rate",
]

SMALLEST = 1e-9
"""No p-value is smaller than this."""


def empirical_p_values(scores: FloatArray, honest: FloatArray) -> FloatArray:
    """``(1 + #{honest >= score}) / (1 + n)``: exact if the account is one more honest one.

    >>> empirical_p_values(np.array([0.5, 9.0]), np.array([1.0, 2.0, 3.0]))
    array([1.  , 0.25])
    """
    ordered = np.sort(honest)
    above = len(ordered) - np.searchsorted(ordered, scores, side="left")
    out: FloatArray = (1 + above) / (1 + len(ordered))
    return out


def tail_p_values(scores: FloatArray, honest: FloatArray, *, share: float = 0.1) -> FloatArray:
    """Empirical p-values, continued beyond the honest scores by a fitted tail.

    Empirical p-values end at 1 / (n + 1), too coarse to find one thief among ten thousand
    accounts. The top ``share`` of the honest scores is fitted by a generalized Pareto law
    (probability-weighted moments, shape held in 0..0.9: the tail never ends), and scores up there
    get its probability. This is an extrapolation, not a count.

    Source: Hosking & Wallis, Technometrics 29 (1987), for the moments.

    Args:
        scores: ``(m,)``.
        honest: ``(n,)``; below 50 of them the empirical p-value is all there is.
        share: of honest scores that make the tail.
    """
    found = empirical_p_values(scores, honest)
    if len(honest) < 50:
        return found
    limit = np.quantile(honest, 1 - share)
    excess = np.sort(honest[honest > limit] - limit)
    n = len(excess)
    if n < 5:
        return found
    mean = excess.mean()
    weighted = float((excess * (n - np.arange(1, n + 1)) / (n - 1)).mean())
    shape = 2 - mean / (mean - 2 * weighted) if mean > 2 * weighted else 0.9
    shape = float(np.clip(shape, 0.0, 0.9))
    scale = mean * (1 - shape)
    beyond = np.maximum(scores - limit, 0.0) / scale
    chance = np.exp(-beyond) if shape < 1e-6 else (1 + shape * beyond) ** (-1 / shape)
    tail = (n + 1) / (len(honest) + 1) * chance
    return np.where(scores > limit, np.clip(tail, SMALLEST, 1.0), found)


def benjamini_hochberg(p_values: FloatArray, level: float) -> npt.NDArray[np.bool_]:
    """Which hypotheses ``(m,)`` to reject so that the false discovery rate is at most ``level``.

    Source: Benjamini & Hochberg, JRSS B 57 (1995).

    >>> benjamini_hochberg(np.array([0.01, 0.9, 0.02, 0.04]), 0.05)
    array([ True, False,  True, False])
    """
    m = len(p_values)
    if m == 0:
        return np.zeros(0, dtype=bool)
    ordered = np.sort(p_values)
    passed = np.flatnonzero(ordered <= level * np.arange(1, m + 1) / m)
    if len(passed) == 0:
        return np.zeros(m, dtype=bool)
    rejected: npt.NDArray[np.bool_] = p_values <= ordered[passed[-1]]
    return rejected


def threshold_at(honest: FloatArray, fpr: float) -> float:
    """The smallest threshold that at most ``fpr`` of these honest scores exceed.

    An account is flagged when its score is **above** the threshold. With fewer than 1 / fpr
    scores this is their maximum.

    >>> threshold_at(np.arange(100.0), 0.01)
    98.0
    """
    ordered = np.sort(honest)
    allowed = int(np.floor(fpr * len(ordered) + 1e-9))
    return float(ordered[len(ordered) - 1 - allowed])


def true_positive_rate(scores: FloatArray, threshold: float) -> Estimate:
    """Share of accounts above the threshold with its Clopper-Pearson interval."""
    return clopper_pearson(int((scores > threshold).sum()), len(scores))


def confusion(honest: FloatArray, thieves: FloatArray, threshold: float) -> dict[str, int]:
    """Accounts by truth and verdict."""
    false, true = int((honest > threshold).sum()), int((thieves > threshold).sum())
    return {
        "honest_passed": len(honest) - false,
        "honest_flagged": false,
        "thief_passed": len(thieves) - true,
        "thief_flagged": true,
    }


def queries_to_detection(
    scores: FloatArray, thresholds: FloatArray, queries: IntArray
) -> FloatArray:
    """At which number of queries each account is first flagged.

    Args:
        scores: ``(A, C)`` of A accounts after each of C numbers of queries; NaN if never reached.
        thresholds: ``(C,)``.
        queries: ``(C,)`` ascending.

    Returns:
        ``(A,)``; infinite for accounts that are never flagged.
    """
    above = scores > thresholds
    return np.where(above.any(axis=1), queries[above.argmax(axis=1)], np.inf)


def accounts_needed(
    calls: int, detection: FloatArray, *, horizon: int, draws: npt.NDArray[np.float64]
) -> IntArray:
    """How many accounts a theft takes when each is banned as soon as it is flagged.

    Each account is watched in windows of ``horizon`` queries; what happens in a window is drawn
    from ``detection``. Windows are taken as independent, which is an assumption. If every
    detection comes earlier (or not later), no theft takes fewer accounts.

    Args:
        calls: what the theft needs in all.
        detection: ``(A,)`` queries until accounts were flagged, infinite for never; sorted inside,
            so that equal draws compare equal places of two samples.
        horizon: queries per window.
        draws: ``(R, M, W)`` uniform numbers: R thefts, at most M accounts, W windows each. A theft
            that runs out of draws needs at least M accounts; an account that survives W windows
            survives for good.

    Returns:
        ``(R,)`` accounts.
    """
    ordered = np.sort(detection)
    place = np.minimum((draws * len(ordered)).astype(np.int64), len(ordered) - 1)
    when = ordered[place]
    caught = when <= horizon
    window = np.where(caught.any(axis=2), caught.argmax(axis=2), 0)
    inside = np.take_along_axis(when, window[:, :, None], axis=2)[:, :, 0]
    made = np.where(caught.any(axis=2), window * horizon + inside, np.inf)
    total = np.cumsum(made, axis=1)
    done = total >= calls
    needed: IntArray = np.where(done.any(axis=1), done.argmax(axis=1) + 1, draws.shape[1])
    return needed

"""The two things that are looked for in a suspect's answers, for thousands of keys at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsec.ownership.questions import Questions
from recsec.targets.guards import first_is_green, popularity_pairs, replies
from recsec.types import FloatArray, IntArray

__all__ = [
    "combined_p_values",
    "green_statistics",
    "p_values",
    "pair_contrasts",
    "reply_statistics",
]

KEYS = 1000
"""Keys per matrix product: 1,000 x pairs floats at a time."""


def pair_contrasts(lists: IntArray, counts: IntArray) -> FloatArray:
    """How much more often the first of each pair is listed than the second: ``(P,)``.

    The difference of the mentions in standard deviations of a fair coin,
    ``(a - b) / sqrt(a + b)``: taken as they are, differences would let the few pairs that fill the
    lists decide alone.

    Args:
        lists: ``(n, k)`` catalog indices.
        counts: ``(N + 1,)`` popularity, which makes the pairs.
    """
    pairs = popularity_pairs(counts)
    listed = np.bincount(lists.ravel(), minlength=len(counts)).astype(np.float64)
    first, second = listed[pairs[:, 0]], listed[pairs[:, 1]]
    contrasts: FloatArray = (first - second) / np.sqrt(np.maximum(first + second, 1.0))
    return contrasts


def green_statistics(contrasts: FloatArray, keys: Sequence[bytes]) -> FloatArray:
    """Sum of the contrasts, each with the sign that the key gives its pair: ``(R, S)``.

    Args:
        contrasts: ``(P, S)``, one column per set of lists.
        keys: R of them.
    """
    out = np.empty((len(keys), contrasts.shape[1]))
    for start in range(0, len(keys), KEYS):
        part = keys[start : start + KEYS]
        signs = np.where(first_is_green(part, len(contrasts)), 1.0, -1.0)
        out[start : start + len(part)] = signs @ contrasts
    return out


def reply_statistics(
    lists: IntArray,
    questions: Questions,
    counts: IntArray,
    keys: Sequence[bytes],
    rounds: Sequence[int],
) -> FloatArray:
    """How many probes were answered with the key's reply: ``(R, S)``.

    The triggers are those of the owner's key for all keys; only the replies change. As replies
    are drawn without regard to triggers, the probes need not be asked anew for every key.

    Args:
        lists: ``(Q, k)`` answers to all questions.
        questions: what was asked.
        counts: ``(N + 1,)`` popularity.
        keys: R of them.
        rounds: after how many rounds to count, one column each.
    """
    number = len(questions.triggers)
    wanted = replies(keys, counts, count=number)
    probes = lists[questions.plain :]
    out = np.zeros((len(keys), len(rounds)))
    for column, done in enumerate(rounds):
        hits = np.zeros((number, len(counts)))
        heard = probes[: done * number]
        asked = np.arange(len(heard)) % max(1, number)
        np.add.at(hits, (asked[:, None], heard), 1.0)
        hits[:, 0] = 0.0
        out[:, column] = hits[np.arange(number), wanted].sum(axis=1)
    return out


def p_values(statistics: FloatArray) -> FloatArray:
    """For each of R + 1 keys the share of keys that do at least as well, itself included.

    Args:
        statistics: ``(R + 1, ...)``; more is more evidence.

    Returns:
        The same shape, between 1 / (R + 1) and 1. The value of any one key is an exact p-value if
        that key was drawn as the others were and the suspect knows none of them.
    """
    order = np.sort(statistics, axis=0)
    total = len(statistics)
    out = np.empty(statistics.shape)
    for column in np.ndindex(*statistics.shape[1:]):
        at = (slice(None), *column)
        out[at] = total - np.searchsorted(order[at], statistics[at], side="left")
    return out / total


def combined_p_values(parts: Sequence[FloatArray]) -> FloatArray:
    """Several statistics of the same keys as one p-value per key.

    Fisher's sum of logarithms, judged against the same sum for the other keys: exact, however the
    parts depend on each other.

    Source: Pesarin, Multivariate Permutation Tests (2001), nonparametric combination.

    Args:
        parts: p-values ``(R + 1, ...)`` of each statistic.
    """
    evidence = -np.sum([np.log(part) for part in parts], axis=0)
    return p_values(np.round(evidence, 9))  # equal evidence stays equal after rounding errors

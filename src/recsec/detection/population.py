"""Are these young accounts people? All of them together, when each alone says little."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from recsec.types import FloatArray

__all__ = ["energy_test"]


def energy_test(
    pool: FloatArray, people: FloatArray, *, rng: np.random.Generator, draws: int = 199
) -> tuple[float, float]:
    """Energy distance of two groups of accounts, and how often chance gives a larger one.

    Each habit is divided by its spread among people. The p-value is exact: accounts change groups
    at random.

    Source: Szekely & Rizzo 2004, as a permutation test; windows of queries as a population are
    the idea of arXiv 2606.05725, which uses the maximum mean discrepancy.

    Args:
        pool: ``(n, F)`` habits of the accounts in question.
        people: ``(m, F)`` habits of honest accounts.
        rng: draws the permutations.
        draws: how many.

    Returns:
        The distance, and the p-value.
    """
    both = np.concatenate([pool, people]) / np.maximum(people.std(axis=0), 1e-9)
    distances = cdist(both, both)
    n, m = len(pool), len(people)
    member = np.zeros((draws + 1, n + m))
    member[0, :n] = 1
    for row in member[1:]:
        row[rng.permutation(n + m)[:n]] = 1
    inside = np.einsum("ij,ij->i", member @ distances, member)
    across = (member @ distances).sum(axis=1) - inside
    outside = distances.sum() - inside - 2 * across
    found = 2 * across / (n * m) - inside / n**2 - outside / m**2
    return float(found[0]), float((found >= found[0] - 1e-12).mean())

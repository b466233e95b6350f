"""Are these young accounts people? All of them together, when each alone says little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from recsec.detection.calibration import FLOOR
from recsec.metrics.detection import tail_p_values
from recsec.types import FloatArray, IntArray

__all__ = ["YOUNG", "Pooled", "Population", "energy_test"]

YOUNG = 10
"""Queries after which an account joins a pool: half of what it takes to be judged alone."""

MOST = 2000
"""Rows of honest accounts that are kept, spread over the habits."""

LEAST = 20
"""Rows of a habit below which it is left out."""

COMPARED = 600
"""Honest accounts with which a pool is compared."""

DRAWS = 999


def energy_test(
    pool: FloatArray,
    people: FloatArray,
    *,
    rng: np.random.Generator,
    draws: int = 199,
    tail: bool = False,
    floor: float = 1e-9,
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
        tail: continue the p-value beyond the draws by a fitted tail.
        floor: least spread of a habit.

    Returns:
        The distance, and the p-value.
    """
    both = np.concatenate([pool, people]) / np.maximum(people.std(axis=0), floor)
    distances = scipy.spatial.distance.cdist(both, both)
    n, m = len(pool), len(people)
    member = np.zeros((draws + 1, n + m))
    member[0, :n] = 1
    for row in member[1:]:
        row[rng.permutation(n + m)[:n]] = 1
    inside = np.einsum("ij,ij->i", member @ distances, member)
    across = (member @ distances).sum(axis=1) - inside
    outside = distances.sum() - inside - 2 * across
    found = 2 * across / (n * m) - inside / n**2 - outside / m**2
    if tail:
        return float(found[0]), float(tail_p_values(found[:1], found[1:])[0])
    return float(found[0]), float((found >= found[0] - 1e-12).mean())


@dataclass(frozen=True)
class Pooled:
    """What a pool of young accounts shows.

    Attributes:
        accounts: in the pool.
        distance: energy distance to the mixture of honest habits that is nearest to the pool.
        p_value: how often a pool of so many people lies as far away.
        mixture: share of each honest habit in that mixture.
        apart: by detector, how far the pool's mean lies from the mixture's, in spreads of people.
    """

    accounts: int
    distance: float
    p_value: float
    mixture: dict[str, float]
    apart: dict[str, float]


@dataclass(frozen=True, eq=False)
class Population:
    """Scores of honest accounts when they were young, for pools to be compared with.

    Nobody knows how many clients ask in which way, so a pool is compared with the mixture of
    habits that is nearest to it. That leaves a pool of people less distance than chance does, so
    the p-value errs on their side.

    Attributes:
        rows: ``(M, F)`` scores after ``queries`` queries.
        habits: ``(M,)`` number of the habit of each.
        names: of the habits: click laws and request patterns.
        labels: of the F detectors.
        queries: after which an account is compared.
    """

    rows: FloatArray
    habits: IntArray
    names: tuple[str, ...]
    labels: tuple[str, ...]
    queries: int

    @classmethod
    def of(
        cls,
        table: pl.DataFrame,
        labels: Sequence[str],
        names: Sequence[str],
        *,
        queries: int,
        rng: np.random.Generator,
    ) -> Self:
        """From an account table of honest accounts; ``names`` are its click laws and patterns."""
        own = table.filter(pl.col("queries") == queries, pl.col("detector").is_in(list(labels)))
        wide = own.pivot("detector", index=["account", "law"], values="score").drop_nulls()
        number = {name: at for at, name in enumerate(names)}
        habits = np.array([number[law] for law in wide["law"].to_list()], dtype=np.int64)
        rows = wide.select(labels).to_numpy().astype(np.float64)
        kept = []
        for habit in range(len(names)):
            own_rows = rng.permutation(np.flatnonzero(habits == habit))
            if len(own_rows) >= LEAST:
                kept.append(np.sort(own_rows[: max(LEAST, MOST // len(names))]))
        chosen = np.concatenate([np.zeros(0, np.int64), *kept])
        return cls(rows[chosen], habits[chosen], tuple(names), tuple(labels), queries)

    def packed(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """As arrays and facts, for ``unpacked``."""
        told = {"habits": self.names, "labels": self.labels, "queries": self.queries}
        return {"rows": self.rows, "habits": self.habits}, told

    @classmethod
    def unpacked(cls, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """What ``packed`` packed."""
        names, labels = tuple(facts["habits"]), tuple(facts["labels"])
        return cls(arrays["rows"], arrays["habits"], names, labels, int(facts["queries"]))

    @property
    def enough(self) -> bool:
        """Whether a pool can be compared with it."""
        return len(self.rows) >= LEAST

    def test(self, pool: FloatArray, *, rng: np.random.Generator, draws: int = DRAWS) -> Pooled:
        """Compare young accounts ``(n, F)``, in the order of ``labels``, with people."""
        present = np.unique(self.habits)
        weights = self._nearest(pool, present)
        compared = self._drawn(present, weights, rng)
        people = self.rows[compared]
        distance, p_value = energy_test(pool, people, rng=rng, draws=draws, tail=True, floor=FLOOR)
        spread = np.maximum(people.std(axis=0), FLOOR)
        apart = (pool.mean(axis=0) - people.mean(axis=0)) / spread
        return Pooled(
            len(pool),
            distance,
            p_value,
            {self.names[one]: float(w) for one, w in zip(present, weights, strict=True) if w > 0},
            dict(zip(self.labels, apart.tolist(), strict=True)),
        )

    def _nearest(self, pool: FloatArray, present: IntArray) -> FloatArray:
        """Weights of the habits under which the energy distance to a pool is least."""
        spread = np.maximum(self.rows.std(axis=0), FLOOR)
        groups = [self.rows[self.habits == one] / spread for one in present.tolist()]
        cdist = scipy.spatial.distance.cdist
        between = np.array([[cdist(a, b).mean() for b in groups] for a in groups])
        across = np.array([cdist(one, pool / spread).mean() for one in groups])
        even = np.full(len(groups), 1 / len(groups))
        found = scipy.optimize.minimize(
            lambda w: 2 * w @ across - w @ between @ w,
            even,
            jac=lambda w: 2 * across - 2 * between @ w,
            bounds=[(0, 1)] * len(groups),
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            method="SLSQP",
        )
        weights = np.where(found.x < 0.01, 0.0, found.x) if np.isfinite(found.x).all() else even
        out: FloatArray = weights / weights.sum()
        return out

    def _drawn(self, present: IntArray, weights: FloatArray, rng: np.random.Generator) -> IntArray:
        """Rows of honest accounts in these shares, as many as there are."""
        mine = [np.flatnonzero(self.habits == one) for one in present.tolist()]
        most = min(len(own) / w for own, w in zip(mine, weights, strict=True) if w > 0)
        counts = np.floor(weights * min(COMPARED, most) + 1e-9).astype(np.int64)
        parts = [rng.permutation(own)[:n] for own, n in zip(mine, counts.tolist(), strict=True)]
        return np.concatenate(parts)

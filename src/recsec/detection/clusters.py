"""Evidence of a cluster: what its accounts show together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsec.detection.calibration import COMBINED, Calibration
from recsec.detection.sybil import MOST, Linker
from recsec.metrics.detection import tail_p_values
from recsec.traffic import QueryLog
from recsec.types import FloatArray, IntArray

__all__ = ["ClusterTest", "surprise"]

LEAST = 20
"""Honest clusters of the null below which nothing is said."""


def surprise(p_values: FloatArray) -> FloatArray:
    """The evidence of accounts that is summed up: ``-log p``."""
    out: FloatArray = -np.log(p_values)
    return out


@dataclass(frozen=True, eq=False)
class ClusterTest:
    """One p-value per cluster, from the scores of its accounts summed up.

    Honest accounts that ask alike also score alike, so their sum scatters more than that of
    strangers: between clusters by ``between``, within them by ``within``. What is left of the
    null, its shape, is that of the honest clusters themselves.

    Attributes:
        mean: of honest scores.
        within: variance of scores within honest clusters.
        between: variance of the clusters' own means.
        null: standard sums of honest clusters that the variances were not fitted to.
    """

    mean: float
    within: float
    between: float
    null: FloatArray

    @classmethod
    def fit(cls, scores: FloatArray, clusters: IntArray, *, rng: np.random.Generator) -> Self:
        """From honest accounts ``(A,)`` and the clusters that a linker put them into, -1 for none.

        Half of the clusters give the variances, the others the null.
        """
        mean = float(scores.mean())
        labels = rng.permutation(np.unique(clusters[clusters >= 0]))
        known = np.isin(clusters, labels[: len(labels) // 2])
        size, total = _sums(scores - mean, clusters, known)
        average = total / np.maximum(size, 1)
        inner = known & (clusters >= 0)
        rest = (scores - mean)[inner] - average[clusters[inner]]
        degrees = max(1, int(inner.sum()) - int((size > 0).sum()))
        within = float((rest**2).sum() / degrees) or float(scores.var()) or 1.0  # all are alike
        own = average[size > 0]
        excess = own**2 - within / size[size > 0] if len(own) else np.zeros(1)
        blank = cls(mean, within, max(0.0, float(excess.mean())), np.zeros(0))
        z, _ = blank.standard(scores, np.where(known, -1, clusters))
        return cls(mean, within, blank.between, z)

    @classmethod
    def of(
        cls,
        linker: Linker,
        calibration: Calibration,
        table: pl.DataFrame,
        logs: Mapping[str, QueryLog],
        *,
        rng: np.random.Generator,
    ) -> Self:
        """From logs of honest accounts, each linked apart, and their account table."""
        scores, clusters, made = [np.zeros(0)], [np.zeros(0, np.int64)], 0
        for name, log in logs.items():
            own = table.filter(pl.col("detector") == COMBINED, pl.col("law") == name)
            last = own.sort("queries").unique("account", keep="last", maintain_order=True)[:MOST]
            labels = linker.link(log, last["account"].to_list())
            found = last["score"].to_numpy().astype(np.float64)
            scores.append(surprise(calibration.p_values(found, last["queries"].to_numpy())))
            clusters.append(np.where(labels < 0, -1, labels + made))
            made += int(labels.max(initial=-1)) + 1
        if made < 2:
            return cls(0.0, 1.0, 0.0, np.zeros(0))
        return cls.fit(np.concatenate(scores), np.concatenate(clusters), rng=rng)

    @property
    def enough(self) -> bool:
        """Whether there are enough honest clusters to compare others with."""
        return len(self.null) >= LEAST

    def packed(self) -> dict[str, NDArray[Any]]:
        """As arrays, for ``unpacked``."""
        facts = np.array([self.mean, self.within, self.between])
        return {"facts": facts, "null": self.null}

    @classmethod
    def unpacked(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What ``packed`` packed."""
        mean, within, between = arrays["facts"].tolist()
        return cls(mean, within, between, arrays["null"])

    def standard(self, scores: FloatArray, clusters: IntArray) -> tuple[FloatArray, IntArray]:
        """Standard sum of each cluster ``(C,)``, and their numbers ``(C,)``."""
        size, total = _sums(scores - self.mean, clusters, clusters >= 0)
        there = np.flatnonzero(size > 0)
        average = total[there] / size[there]
        return average / np.sqrt(self.between + self.within / size[there]), there

    def p_values(self, scores: FloatArray, clusters: IntArray) -> FloatArray:
        """Of the cluster of each account ``(A,)``; 1 for an account that stands alone."""
        out = np.ones(len(scores))
        z, there = self.standard(scores, clusters)
        if len(there) == 0 or len(self.null) == 0:
            return out
        found = np.ones(int(there.max()) + 1)
        found[there] = tail_p_values(z, self.null)
        linked = clusters >= 0
        out[linked] = found[clusters[linked]]
        return out


def _sums(
    scores: FloatArray, clusters: IntArray, chosen: NDArray[np.bool_]
) -> tuple[IntArray, FloatArray]:
    """How many chosen accounts each cluster has, and the sum of their scores."""
    rows = np.flatnonzero(chosen & (clusters >= 0))
    width = int(clusters.max(initial=-1)) + 1
    size = np.bincount(clusters[rows], minlength=width).astype(np.int64)
    total = np.bincount(clusters[rows], weights=scores[rows], minlength=width)
    return size, total.astype(np.float64)

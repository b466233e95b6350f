"""PRADA: are the distances between an account's queries distributed as people's are?

Source: Juuti, Szyller, Marchal & Asokan, "PRADA: Protecting against DNN Model Stealing Attacks",
EuroS&P 2019, algorithm 1: per predicted class, distances to the nearest member of a growing set;
an attack makes their distribution depart from normal (Shapiro-Wilk).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy
from pydantic import Field

from recsec.data.catalog import Catalog
from recsec.detection.base import Arrays, Detector, DetectorConfig, FitData
from recsec.detection.detectors.encoder import item_vectors, pool
from recsec.traffic import Steps
from recsec.types import FloatArray

__all__ = ["Prada", "PradaConfig", "normality"]


class PradaConfig(DetectorConfig):
    """Settings of ``Prada``."""

    sessions: bool = Field(
        True, description="compare with other histories only; false: raw queries, as published"
    )
    classes: int = Field(16, gt=1, description="clusters of items; the first listed one counts")
    width: int = Field(32, gt=0, description="size of item vectors where the model has none")
    least: int = Field(20, ge=3, description="distances below which nobody is judged")
    remembered: int = Field(1000, gt=0, description="set members and distances kept, newest")


def normality(distances: FloatArray) -> float:
    """Shapiro-Wilk W of the distances within three standard deviations of their mean.

    1 for a normal sample, 0 where all are equal.
    """
    spread = distances.std()
    if spread < 1e-9:
        return 0.0
    kept = distances[np.abs(distances - distances.mean()) <= 3 * spread]
    if len(kept) < 3 or np.ptp(kept) < 1e-9:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(scipy.stats.shapiro(kept).statistic)


@dataclass
class _Sets:
    """One account: members of the growing sets, their thresholds, and all distances."""

    members: list[tuple[int, int, npt.NDArray[np.float32]]] = field(default_factory=list)
    grown: dict[int, list[float]] = field(default_factory=dict)
    limits: dict[int, float] = field(default_factory=dict)
    distances: list[float] = field(default_factory=list)

    def add(
        self, group: int, chain: int, vector: npt.NDArray[np.float32], *, apart: bool, room: int
    ) -> None:
        """Algorithm 1 of the paper for one query."""
        near = [
            float(np.linalg.norm(member - vector))
            for of_group, of_chain, member in self.members
            if of_group == group and not (apart and of_chain == chain)
        ]
        if near:
            distance = min(near)
            self.distances.append(distance)
            if distance <= self.limits.get(group, 0.0):
                return
            grown = self.grown.setdefault(group, [])
            grown.append(distance)
            limit = float(np.mean(grown) - np.std(grown))
            self.limits[group] = max(self.limits.get(group, 0.0), limit)
        self.members.append((group, chain, vector))
        del self.members[:-room], self.distances[:-room]
        for grown in self.grown.values():
            del grown[:-room]


class Prada(Detector):
    """PRADA: ``1 - W`` of an account's distances to its nearest query of the same class.

    The class is the cluster of the first item of the answer, as a top-k API predicts items, not
    classes; the distance is Euclidean between pooled item vectors.

    State: per account at most ``remembered`` vectors and three times as many numbers; merges
    exactly where each account's queries stayed together.
    """

    name = "prada"
    config_class = PradaConfig
    config: PradaConfig

    def __init__(
        self, config: Any, fitted: Mapping[str, npt.NDArray[Any]], catalog: Catalog
    ) -> None:
        super().__init__(config, fitted, catalog)
        self._sets: dict[str, _Sets] = {}

    @classmethod
    def fit(cls, data: FitData, config: Any) -> Self:
        """See ``Detector.fit``: item vectors and their clusters."""
        streams = data.streams.child("prada")
        vectors = item_vectors(
            data.histories, data.recommender, width=config.width, rng=streams.numpy("vectors")
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty cluster is a cluster nobody is in
            _, groups = scipy.cluster.vq.kmeans2(
                vectors[1:], config.classes, minit="++", rng=streams.numpy("clusters")
            )
        return cls(
            config,
            {"vectors": vectors, "groups": np.concatenate([[-1], groups]).astype(np.int64)},
            data.catalog,
        )

    def observe(self, steps: Steps) -> FloatArray:
        """See ``Detector.observe``."""
        pooled = pool(steps.items, steps.offsets, self.fitted["vectors"])
        top = steps.answers[:, 0] if steps.answers.shape[1] else np.zeros(len(steps), np.int64)
        groups = self.fitted["groups"][top].tolist()
        found = np.empty(len(steps))
        for row, code in enumerate(steps.account.tolist()):
            sets = self._sets.setdefault(steps.accounts[code], _Sets())
            sets.add(
                groups[row],
                int(steps.chain[row]),
                pooled[row],
                apart=self.config.sessions,
                room=self.config.remembered,
            )
            found[row] = self._score(sets)
        return found

    def _score(self, sets: _Sets) -> float:
        if len(sets.distances) < self.config.least:
            return 0.0
        return 1.0 - normality(np.array(sets.distances))

    def scores(self) -> tuple[list[str], FloatArray]:
        """See ``Detector.scores``."""
        return list(self._sets), np.array([self._score(sets) for sets in self._sets.values()])

    def state(self) -> tuple[list[str], Arrays]:
        """See ``Detector.state``."""
        members = [
            (code, group, chain, vector)
            for code, sets in enumerate(self._sets.values())
            for group, chain, vector in sets.members
        ]
        grown = [
            (code, group, distance, sets.limits[group])
            for code, sets in enumerate(self._sets.values())
            for group, distances in sets.grown.items()
            for distance in distances
        ]
        seen = [
            (code, distance)
            for code, sets in enumerate(self._sets.values())
            for distance in sets.distances
        ]
        size = 2 * self.fitted["vectors"].shape[1]
        return list(self._sets), {
            "members": np.array([row[:3] for row in members], dtype=np.int64).reshape(-1, 3),
            "vectors": np.array([row[3] for row in members], np.float32).reshape(-1, size),
            "grown": np.array(grown, dtype=np.float64).reshape(-1, 4),
            "distances": np.array(seen, dtype=np.float64).reshape(-1, 2),
        }

    def restore(self, names: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """See ``Detector.restore``."""
        every = [_Sets() for _ in names]
        for (code, group, chain), vector in zip(
            arrays["members"].tolist(), arrays["vectors"], strict=True
        ):
            every[code].members.append((group, chain, vector))
        for code, group, distance, limit in arrays["grown"].tolist():
            every[int(code)].grown.setdefault(int(group), []).append(distance)
            every[int(code)].limits[int(group)] = limit
        for code, distance in arrays["distances"].tolist():
            every[int(code)].distances.append(distance)
        self._sets = dict(zip(names, every, strict=True))

    def merge(self, other: Self) -> None:
        """See ``Detector.merge``; of an account in both, sets and distances are joined."""
        for name, theirs in other._sets.items():
            mine = self._sets.setdefault(name, _Sets())
            shift = max((chain for _, chain, _ in mine.members), default=-1) + 1
            moved = [(group, chain + shift, vector) for group, chain, vector in theirs.members]
            mine.members = [*mine.members, *moved][-self.config.remembered :]
            mine.distances = [*mine.distances, *theirs.distances][-self.config.remembered :]
            for group, grown in theirs.grown.items():
                mine.grown[group] = [*mine.grown.get(group, []), *grown]
                limit = max(mine.limits.get(group, 0.0), theirs.limits[group])
                mine.limits[group] = limit

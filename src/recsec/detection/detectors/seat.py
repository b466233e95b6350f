"""SEAT: does the account ask nearly the same as before?

Source: Zhang, Chen & Wagner, AISec 2021, and their public code: encoder trained against worst
cases, distance to the nearest previous query, threshold at a small share of benign queries,
account cancelled after N = 50 similar ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from recsec.data.catalog import Catalog
from recsec.detection.base import Arrays, CountingDetector, DetectorConfig, FitData
from recsec.detection.detectors.encoder import encode, item_vectors, pool, train_encoder
from recsec.traffic import Steps
from recsec.types import FloatArray, IntArray

__all__ = ["Remembered", "Seat", "SeatConfig"]


class SeatConfig(DetectorConfig):
    """Settings of ``Seat``."""

    sessions: bool = Field(
        True, description="collapse a growing history; false: raw queries, as published"
    )
    width: int = Field(32, gt=0, description="size of an encoding")
    margin: float = Field(2.0, gt=0, description="distance to which other users are pushed")
    substitutions: int = Field(2, gt=0, description="items that a worst case may replace")
    attack_steps: int = Field(2, gt=0, description="gradient steps of a worst case")
    steps: int = Field(200, gt=0, description="training steps")
    batch: int = Field(128, gt=1, description="histories per training step")
    query_fpr: float = Field(0.001, gt=0, lt=1, description="honest queries called similar")
    remembered: int = Field(10_000, gt=0, description="encodings kept of an account, newest")


@dataclass
class Remembered:
    """Encodings of one account's earlier queries, the newest ``room`` of them.

    Attributes:
        room: how many at most.
        vectors: ``(M, D)`` float32, the first ``used`` valid.
        squares: ``(M,)`` their squared lengths.
        chains: ``(M,)`` the growing history each belongs to.
        used: how many are kept.
        place: where the next one goes.
    """

    room: int
    vectors: npt.NDArray[np.float32]
    squares: npt.NDArray[np.float32]
    chains: IntArray
    used: int = 0
    place: int = 0

    @classmethod
    def empty(cls, room: int, width: int) -> Remembered:
        """Nothing yet."""
        first = min(room, 16)
        vectors = np.zeros((first, width), np.float32)
        return cls(room, vectors, np.zeros(first, np.float32), np.zeros(first, np.int64))

    def nearest(self, vector: npt.NDArray[np.float32], other_than: int | None) -> float:
        """Distance to the nearest one, or to the nearest of another chain; infinite if none."""
        if self.used == 0:
            return float("inf")
        squares = self.squares[: self.used] - 2 * (self.vectors[: self.used] @ vector)
        if other_than is not None:
            squares = np.where(self.chains[: self.used] == other_than, np.inf, squares)
        place = int(squares.argmin())
        if not np.isfinite(squares[place]):
            return float("inf")
        return float(np.linalg.norm(self.vectors[place] - vector))

    def add(self, vector: npt.NDArray[np.float32], chain: int, *, collapse: bool) -> None:
        """Keep one more; with ``collapse`` it takes the place of its chain's earlier one."""
        place = self.place
        if collapse:
            same = np.flatnonzero(self.chains[: self.used] == chain)
            place = int(same[0]) if len(same) else place
        if place == self.place:
            if place == len(self.vectors) < self.room:
                grown = min(self.room, 2 * len(self.vectors)) - len(self.vectors)
                wide = np.zeros((grown, self.vectors.shape[1]), np.float32)
                self.vectors = np.concatenate([self.vectors, wide])
                self.squares = np.concatenate([self.squares, np.zeros(grown, np.float32)])
                self.chains = np.concatenate([self.chains, np.zeros(grown, np.int64)])
            self.used = max(self.used, place + 1)
            self.place = (place + 1) % self.room
        self.vectors[place], self.chains[place] = vector, chain
        self.squares[place] = vector @ vector


class Seat(CountingDetector):
    """SEAT: share of an account's queries whose encoding lies near that of an earlier one.

    Near is nearer than all but ``query_fpr`` of honest queries are to their nearest. With
    ``sessions`` a growing history is one thing: a query is compared with other histories of its
    account only, each by its newest state.

    State: per account 2 numbers and at most ``remembered`` encodings of ``width`` floats (1.4 MB
    at the defaults); merges exactly where each account's queries stayed together.
    """

    name = "seat"
    config_class = SeatConfig
    config: SeatConfig
    width = 2

    def __init__(
        self, config: Any, fitted: Mapping[str, npt.NDArray[Any]], catalog: Catalog
    ) -> None:
        super().__init__(config, fitted, catalog)
        self._memory: dict[int, Remembered] = {}

    @classmethod
    def fit(cls, data: FitData, config: Any) -> Self:
        """See ``Detector.fit``: encoder first, then the distance that counts as near."""
        streams = data.streams.child("seat")
        vectors = item_vectors(
            data.histories, data.recommender, width=config.width, rng=streams.numpy("vectors")
        )
        encoder = train_encoder(
            vectors,
            data.histories,
            width=config.width,
            margin=config.margin,
            substitutions=config.substitutions,
            attack_steps=config.attack_steps,
            steps=config.steps,
            batch=config.batch,
            streams=streams,
        )
        fitted: Arrays = {"vectors": vectors, **encoder.arrays(), "near": np.zeros(1)}
        found = cls(config, fitted, data.catalog)
        distances = np.concatenate([found.fresh().distances(steps) for steps in data.honest])
        finite = distances[np.isfinite(distances)]
        near = np.quantile(finite, config.query_fpr, method="lower") if len(finite) else 0.0
        fitted["near"] = np.array([near])
        return cls(config, fitted, data.catalog)

    def distances(self, steps: Steps, codes: IntArray | None = None) -> FloatArray:
        """Distance ``(n,)`` of each query to the nearest remembered one; remembers it."""
        codes = self._register(steps.accounts)[steps.account] if codes is None else codes
        pooled = pool(steps.items, steps.offsets, self.fitted["vectors"])
        encoded = encode(pooled, self.fitted)
        found = np.empty(len(steps))
        apart = self.config.sessions
        for row, (code, chain) in enumerate(zip(codes.tolist(), steps.chain.tolist(), strict=True)):
            memory = self._memory.get(code)
            if memory is None:
                memory = self._memory[code] = self._empty()
            found[row] = memory.nearest(encoded[row], chain if apart else None)
            memory.add(encoded[row], chain, collapse=apart)
        return found

    def _empty(self) -> Remembered:
        return Remembered.empty(self.config.remembered, self.config.width)

    def increments(self, steps: Steps, codes: IntArray) -> IntArray:
        """One query each, and whether it is near an earlier one."""
        near = self.distances(steps, codes) < self.fitted["near"][0]
        return np.column_stack([np.ones(len(steps), dtype=np.int64), near])

    def score(self, counts: IntArray) -> FloatArray:
        """See ``CountingDetector.score``."""
        share: FloatArray = counts[:, 1] / np.maximum(counts[:, 0], 1)
        return share

    def state(self) -> tuple[list[str], Arrays]:
        """See ``Detector.state``."""
        names, arrays = super().state()
        kept = list(self._memory.items())
        sizes = [memory.used for _, memory in kept]
        empty = [np.zeros((0, self.config.width), np.float32)]
        arrays["memory.account"] = np.array([code for code, _ in kept], dtype=np.int64)
        arrays["memory.used"] = np.array(sizes, dtype=np.int64)
        arrays["memory.place"] = np.array([memory.place for _, memory in kept], dtype=np.int64)
        arrays["memory.vectors"] = np.concatenate(
            empty + [memory.vectors[: memory.used] for _, memory in kept]
        )
        arrays["memory.chains"] = np.concatenate(
            [np.zeros(0, np.int64)] + [memory.chains[: memory.used] for _, memory in kept]
        )
        return names, arrays

    def restore(self, names: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """See ``Detector.restore``."""
        super().restore(names, arrays)
        self._memory = {}
        ends = np.cumsum(arrays["memory.used"])
        starts, places = (ends - arrays["memory.used"]).tolist(), arrays["memory.place"].tolist()
        codes = arrays["memory.account"].tolist()
        for code, start, end, place in zip(codes, starts, ends.tolist(), places, strict=True):
            memory = self._memory[code] = self._empty()
            for row in range(start, end):
                vector, chain = arrays["memory.vectors"][row], int(arrays["memory.chains"][row])
                memory.add(vector, chain, collapse=False)
            memory.place = place

    def merge(self, other: Self) -> None:
        """See ``Detector.merge``; of an account in both, the other's queries count as later."""
        super().merge(other)
        names = list(other._codes)
        for code, theirs in other._memory.items():
            mine = self._codes[names[code]]
            memory = self._memory.setdefault(mine, self._empty())
            shift = int(memory.chains[: memory.used].max(initial=-1)) + 1
            for row in range(theirs.used):
                chain = int(theirs.chains[row]) + shift
                memory.add(theirs.vectors[row], chain, collapse=False)

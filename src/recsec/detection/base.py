"""What a detector is: it scores accounts by their queries, with bounded and mergeable state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.models.base import Recommender
from recsec.rng import Streams
from recsec.traffic import Follower, Query, Steps
from recsec.types import FloatArray, IntArray

__all__ = ["Arrays", "CountingDetector", "Detector", "DetectorConfig", "FitData", "order_by"]

Arrays = dict[str, npt.NDArray[Any]]


class DetectorConfig(BaseModel):
    """Settings of a detector; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, eq=False)
class FitData:
    """What a detector may learn from: the fit group only.

    Attributes:
        catalog: the items.
        histories: logged histories of half of the users of the fit group.
        honest: followed traffic of all of them, one part for each law.
        streams: randomness.
        recommender: the model that is watched, where it is at hand.
        snapshots: checkpoints saved while it was trained, oldest first.
        habits: more honest traffic, one part for each request pattern.
        known: accounts of the logged histories; only others are as surprising as strangers.
    """

    catalog: Catalog
    histories: Sequences
    honest: tuple[Steps, ...]
    streams: Streams
    recommender: Recommender | None = None
    snapshots: tuple[Path, ...] = ()
    habits: tuple[Steps, ...] = ()
    known: frozenset[str] = frozenset()


def order_by(codes: IntArray) -> tuple[IntArray, IntArray]:
    """Rows grouped by code in stable order, and for each row of that order where its group begins.

    >>> order_by(np.array([1, 0, 1]))
    (array([1, 0, 2]), array([0, 1, 1]))
    """
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(codes)]
    return order, np.maximum.accumulate(np.where(fresh, np.arange(len(codes)), 0))


class Detector(ABC):
    """Scores accounts: the higher, the less the account looks like an honest user.

    A score is a mean over queries, so accounts with different numbers of queries compare. State is
    kept per account and bounded; each detector says how much. States of disjoint accounts always
    merge exactly.

    Args:
        config: settings.
        fitted: what ``fit`` learned, as arrays.
        catalog: the items.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[DetectorConfig]] = DetectorConfig
    config: Any

    def __init__(
        self, config: Any, fitted: Mapping[str, npt.NDArray[Any]], catalog: Catalog
    ) -> None:
        self.config = config
        self.fitted: Arrays = dict(fitted)
        self.catalog = catalog
        self.follower = Follower()

    @classmethod
    @abstractmethod
    def fit(cls, data: FitData, config: Any) -> Self:
        """Learn what honest traffic looks like, from the fit group only.

        Raises:
            ConfigError: the data lacks what this detector needs.
        """

    @abstractmethod
    def observe(self, steps: Steps) -> FloatArray:
        """Take note of queries; returns the score ``(n,)`` of each one's account after it."""

    @abstractmethod
    def scores(self) -> tuple[list[str], FloatArray]:
        """Every account that was seen, and its score now."""

    @abstractmethod
    def state(self) -> tuple[list[str], Arrays]:
        """Names of the accounts and what is kept of them."""

    @abstractmethod
    def restore(self, names: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what ``state`` gave; the present state is dropped."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the state of another detector of the same fit."""

    @property
    def label(self) -> str:
        """How tables call it: the name, and ``-raw`` for a published form on raw queries."""
        return self.name if getattr(self.config, "sessions", True) else f"{self.name}-raw"

    def update(self, account: str, query: Query) -> float:
        """Take note of one query of ``account``; returns the account's score."""
        return float(self.observe(self.follower.follow_one(account, query))[0])

    def fresh(self) -> Self:
        """The same fit without any account."""
        return type(self)(self.config, self.fitted, self.catalog)


class CountingDetector(Detector):
    """A detector whose state is a few whole numbers per account, and whose score follows from them.

    Sums of whole numbers do not depend on the order of adding, so states merge exactly however the
    queries were dealt out, unless the detector says that it remembers more.
    """

    width: int
    """W, how many numbers are kept of an account."""

    def __init__(
        self, config: Any, fitted: Mapping[str, npt.NDArray[Any]], catalog: Catalog
    ) -> None:
        super().__init__(config, fitted, catalog)
        self._codes: dict[str, int] = {}
        self._counts = np.zeros((0, 0), dtype=np.int64)

    @abstractmethod
    def increments(self, steps: Steps, codes: IntArray) -> IntArray:
        """What each query adds to its account's numbers: ``(n, W)``.

        Args:
            steps: the queries.
            codes: ``(n,)`` numbers of their accounts in this detector.
        """

    @abstractmethod
    def score(self, counts: IntArray) -> FloatArray:
        """Scores ``(m,)`` of accounts with these numbers ``(m, W)``."""

    def observe(self, steps: Steps) -> FloatArray:
        """See ``Detector.observe``."""
        codes = self._register(steps.accounts)[steps.account]
        added = self.increments(steps, codes)
        order, begins = order_by(codes)
        total = np.cumsum(added[order], axis=0)
        before = np.where(begins[:, None] > 0, total[begins - 1], 0) if len(order) else total
        running = np.empty_like(total)
        running[order] = total - before + self._counts[codes[order]]
        np.add.at(self._counts, codes, added)
        return self.score(running)

    def scores(self) -> tuple[list[str], FloatArray]:
        """See ``Detector.scores``."""
        names = list(self._codes)
        return names, self.score(self.counts)

    @property
    def counts(self) -> IntArray:
        """``(A, W)`` the numbers of every account, in the order of ``scores``."""
        if self._counts.shape[1] != self.width:
            return np.zeros((len(self._codes), self.width), dtype=np.int64)
        return self._counts[: len(self._codes)]

    def state(self) -> tuple[list[str], Arrays]:
        """See ``Detector.state``."""
        return list(self._codes), {"counts": self.counts.copy()}

    def restore(self, names: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """See ``Detector.restore``."""
        self._codes = {name: code for code, name in enumerate(names)}
        self._counts = arrays["counts"].astype(np.int64)

    def merge(self, other: Self) -> None:
        """See ``Detector.merge``."""
        codes = self._register(list(other._codes))
        np.add.at(self._counts, codes, other.counts)

    def _register(self, names: Sequence[str]) -> IntArray:
        """Numbers of accounts; new ones get zeros."""
        known = self._codes
        codes = np.fromiter((known.setdefault(name, len(known)) for name in names), np.int64)
        if len(known) > len(self._counts) or self._counts.shape[1] != self.width:
            room = max(len(known), 2 * len(self._counts))
            grown = np.zeros((room, self.width), dtype=np.int64)
            if self._counts.shape[1] == self.width:
                grown[: len(self._counts)] = self._counts
            self._counts = grown
        return codes

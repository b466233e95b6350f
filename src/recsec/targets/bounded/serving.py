"""What an account is served, by the evidence against it and against its cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np

from recsec.errors import ConfigError
from recsec.targets.base import Target
from recsec.types import FloatArray, IntArray

__all__ = ["TREATMENTS", "Serving", "ServingPolicy", "Treatment"]

Treatment: TypeAlias = Literal["full", "marked", "short", "decoys", "blocked"]
"""The best list; one with a stronger watermark; a shorter one; wrong items; nothing."""

TREATMENTS: tuple[Treatment, ...] = get_args(Treatment)
"""From the mildest to the hardest."""


@dataclass(frozen=True)
class ServingPolicy:
    """From evidence to treatment.

    Attributes:
        steps: a treatment for each level of evidence: the p-value at or below which it begins. An
            account gets the hardest treatment that its evidence reaches.
        reviews: how often an account is judged in its life; the levels are shared by all reviews,
            so that a level of 0.01 reaches at most 1 % of honest accounts ever.
    """

    steps: tuple[tuple[float, Treatment], ...] = ((0.01, "decoys"),)
    reviews: int = 1

    def __post_init__(self) -> None:
        unknown = [name for _, name in self.steps if name not in TREATMENTS]
        if unknown:
            raise ConfigError(f"no treatment {unknown[0]!r}", hint=f"one of {TREATMENTS}")
        if self.reviews < 1 or any(not 0 < level < 1 for level, _ in self.steps):
            raise ConfigError("levels lie between 0 and 1, and accounts are judged at least once")

    def treatments(self, accounts: FloatArray, clusters: FloatArray | None = None) -> IntArray:
        """The treatment of each account ``(A,)``, as a place in ``TREATMENTS``.

        Args:
            accounts: ``(A,)`` p-value of each account.
            clusters: ``(A,)`` p-value of its cluster, 1 where it stands alone. With both, each
                gets half of every level.
        """
        parts = 1 if clusters is None else 2
        least = accounts if clusters is None else np.minimum(accounts, clusters)
        found = np.zeros(len(accounts), dtype=np.int64)
        for level, name in self.steps:
            reached = least <= level / (self.reviews * parts)
            found = np.where(reached, np.maximum(found, TREATMENTS.index(name)), found)
        return found


@dataclass
class Serving:
    """A target that serves each account as it is treated; treatments only get harder.

    Args:
        targets: who answers under each treatment; ``full`` must be there, ``blocked`` need not.
    """

    targets: Mapping[Treatment, Target]
    treated: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "full" not in self.targets:
            raise ConfigError("somebody must answer accounts without evidence: full = target")
        self.catalog = self.targets["full"].catalog
        self.chunk = self.targets["full"].chunk

    def review(self, accounts: Sequence[str], treatments: IntArray) -> None:
        """Take note of a review: treatments ``(A,)`` as of ``ServingPolicy.treatments``."""
        for account, place in zip(accounts, treatments.tolist(), strict=True):
            if place > self.treated.get(account, 0):
                self.treated[account] = place

    def treatment(self, account: str) -> Treatment:
        """What the account is served."""
        return TREATMENTS[self.treated.get(account, 0)]

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """See ``Target.query``; a blocked account gets empty lists."""
        return self.query_each([account] * len(histories), histories, k)

    def query_each(self, accounts: Sequence[str], histories: IntArray, k: int) -> IntArray:
        """Lists ``(B, k)`` for histories ``(B, L)``, each of an account of its own."""
        lists = np.zeros((len(histories), k), dtype=np.int64)
        kinds = np.array([self.treated.get(account, 0) for account in accounts], dtype=np.int64)
        for kind in np.unique(kinds):
            rows = np.flatnonzero(kinds == kind)
            name = TREATMENTS[kind]
            if name == "blocked":
                continue
            target = self.targets.get(name, self.targets["full"])
            lists[rows] = target.query("served", np.ascontiguousarray(histories[rows]), k)
        return lists

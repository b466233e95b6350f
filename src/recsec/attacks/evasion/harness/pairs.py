"""Which item invades which list: pairs of an attacker's photo and a target item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import polars as pl
import torch

from recsec.data.sources.tables import Dialect, Field, read_table
from recsec.errors import ConfigError, DataError
from recsec.models import ExactIndex
from recsec.rng import Streams
from recsec.types import IntArray

__all__ = ["POLICIES", "PairPolicy", "Pairs", "popular_rows", "read_pairs", "sample_pairs"]

PairPolicy: TypeAlias = Literal["cross-category", "same-category", "popular-target"]
POLICIES: tuple[str, ...] = get_args(PairPolicy)
DRAWS = 4096
"""Pairs drawn at a time: the first n of many pairs are the n pairs of a smaller sample."""
POPULAR = 0.05
"""Share of the candidates that counts as popular."""


@dataclass(frozen=True)
class Pairs:
    """P pairs of rows of the catalog.

    Attributes:
        attackers: ``(P,)`` int64, photos that will be perturbed.
        targets: ``(P,)`` int64, items whose neighbor lists are invaded.
        policy: how they were chosen.
    """

    attackers: IntArray
    targets: IntArray
    policy: str

    def __post_init__(self) -> None:
        same = np.flatnonzero(self.attackers == self.targets)
        if len(same):
            raise ConfigError(
                f"pair {same[0]}: the target is the item itself (row {self.attackers[same[0]]})",
                hint="an item is in no neighbor list of its own; choose another target",
            )

    def __len__(self) -> int:
        return len(self.attackers)

    def first(self, n: int) -> Pairs:
        """The first ``n`` pairs."""
        return Pairs(self.attackers[:n], self.targets[:n], self.policy)


def sample_pairs(
    policy: PairPolicy,
    rows: IntArray,
    labels: IntArray,
    n: int,
    *,
    rng: Streams,
    popular: IntArray | None = None,
) -> Pairs:
    """``n`` distinct random pairs; the first pairs of a larger sample are those of a smaller one.

    Args:
        policy: "cross-category" (attacker and target of different categories, the thesis' choice),
            "same-category", or "popular-target" (cross-category, the target is a popular item).
        rows: ``(R,)`` int64, the photos that pairs are drawn from.
        labels: ``(N,)`` int64 category of every row of the catalog.
        n: how many.
        rng: draws.
        popular: ``(M,)`` int64 rows of popular items, for that policy (``popular_rows``).

    Raises:
        ConfigError: unknown policy, or one that lacks its popular items.
        DataError: there are fewer than ``n`` such pairs.
    """
    if policy not in POLICIES:
        raise ConfigError(f"no pair policy {policy!r}; known: {', '.join(POLICIES)}")
    goals = rows
    if policy == "popular-target":
        if popular is None:
            raise ConfigError("popular targets need the list of popular items")
        goals = popular
    if len(rows) == 0 or len(goals) == 0:
        raise DataError("there are no photos to draw pairs from")
    generator = rng.child("pairs").numpy(policy)
    found = np.zeros((0, 2), dtype=np.int64)
    for _ in range(16 + 8 * n // DRAWS):
        a, t = generator.integers(len(rows), size=DRAWS), generator.integers(len(goals), size=DRAWS)
        drawn = np.column_stack([rows[a], goals[t]])
        alike = labels[drawn[:, 0]] == labels[drawn[:, 1]]
        fits = alike == (policy == "same-category")
        drawn = np.concatenate([found, drawn[fits & (drawn[:, 0] != drawn[:, 1])]])
        _, at = np.unique(drawn, axis=0, return_index=True)
        found = drawn[np.sort(at)]
        if len(found) >= n:
            return Pairs(found[:n, 0], found[:n, 1], policy)
    raise DataError(
        f"found {len(found)} {policy} pairs among {len(rows)} photos, expected {n}",
        hint="ask for fewer pairs, or choose another policy",
    )


def popular_rows(index: ExactIndex, rows: IntArray, *, k: int = 10) -> IntArray:
    """The ``rows`` that appear most often in the lists of all items: the top twentieth.

    Exposure without a log of views: the k-occurrence of an item, known as hubness.
    """
    everything = torch.arange(len(index), device=index.vectors.device)
    counts = torch.zeros(len(index), dtype=torch.int64, device=index.vectors.device)
    for part in torch.split(everything, 1024):
        lists, _ = index.neighbors(index.vectors[part], k, exclude=part)
        counts += torch.bincount(lists[lists >= 0], minlength=len(index))
    exposure = counts.cpu().numpy()[rows]
    keep = max(1, round(POPULAR * len(rows)))
    chosen: IntArray = np.sort(rows[np.argsort(-exposure, kind="stable")[:keep]])
    return chosen


def read_pairs(
    path: Path, rows_of: Callable[[list[str]], IntArray], *, dialect: Dialect | None = None
) -> Pairs:
    """Pairs from a table with the columns ``item`` and ``target``.

    Args:
        path: a file or folder (``recsec.data.sources.tables``).
        rows_of: ids to rows of the catalog; raises for an unknown id.
        dialect: what the user says about the table.

    Raises:
        DataError: the file is missing, lacks a column, is empty, or something in it does not fit.
        ConfigError: a target is the item itself.
    """
    fields = {"item": Field("id"), "target": Field("id")}
    rows = read_table(path, fields, dialect=dialect).rows.cast(pl.String)
    return Pairs(rows_of(rows["item"].to_list()), rows_of(rows["target"].to_list()), "csv")

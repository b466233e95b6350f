"""The same metrics for groups of users: who is served how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsec.evaluation.estimates import paired_estimates
from recsec.stats import Estimate
from recsec.types import FloatArray, IntArray

__all__ = ["GroupRow", "Grouping", "activity_groups", "genre_groups", "group_rows"]


@dataclass(frozen=True, eq=False)
class Grouping:
    """Users sorted into groups in one way.

    Attributes:
        by: what the groups are made from.
        names: G group names.
        member: ``(U,)`` group number of each user, -1 for none.
    """

    by: str
    names: tuple[str, ...]
    member: IntArray


@dataclass(frozen=True)
class GroupRow:
    """One group's metrics.

    Attributes:
        by: what the groups are made from.
        group: name of the group.
        users: how many users are in it.
        metrics: means over these users.
    """

    by: str
    group: str
    users: int
    metrics: dict[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """A flat object: ``by``, ``group``, ``users`` and the metrics by name."""
        row: dict[str, Any] = {"by": self.by, "group": self.group, "users": self.users}
        return row | {name: value.to_json() for name, value in self.metrics.items()}


def activity_groups(lengths: IntArray, *, parts: int = 4) -> Grouping:
    """Quartiles of history length, or as many parts; users of equal length are never parted, so
    sizes may differ.

    The names say which lengths are in: ``Q1 (17-43)``, of ten parts ``D1 (17-25)``.

    Args:
        lengths: ``(U,)`` items in each history.
        parts: 4 or 10.
    """
    shares = np.arange(1, parts) / parts
    letter = {4: "Q", 10: "D"}[parts]
    edges = np.unique(np.quantile(lengths, shares, method="higher"))
    member = np.searchsorted(edges, lengths, side="left").astype(np.int64)
    kept = np.unique(member)
    names = []
    for at, group in enumerate(kept, start=1):
        inside = lengths[member == group]
        names.append(f"{letter}{at} ({inside.min()}-{inside.max()})")
    return Grouping("activity", tuple(names), np.searchsorted(kept, member).astype(np.int64))


def genre_groups(genres: FloatArray, names: Sequence[str]) -> Grouping:
    """By dominant genre: the one that most items of the history carry (ties: first in name).

    Args:
        genres: ``(U, G)`` genre counts of the histories.
        names: G genre names, sorted.
    """
    dominant = genres.argmax(axis=1)
    member = np.where(genres.sum(axis=1) > 0, dominant, -1).astype(np.int64)
    return Grouping("genre", tuple(names), member)


def group_rows(
    groupings: Sequence[Grouping],
    columns: Mapping[str, FloatArray],
    rng: np.random.Generator,
) -> list[GroupRow]:
    """Means over each group that has users, with intervals; users are drawn once for all rows.

    Args:
        groupings: ways of grouping the same users.
        columns: name and ``(U,)`` values.
        rng: the stream that draws the resamples.
    """
    cells: dict[str, FloatArray] = {}
    found: list[tuple[str, str, int]] = []
    for grouping in groupings:
        for number, group in enumerate(grouping.names):
            inside = grouping.member == number
            if not inside.any():
                continue
            for name, column in columns.items():
                cells[f"{len(found)} {name}"] = np.where(inside, column, np.nan)
            found.append((grouping.by, group, int(inside.sum())))
    estimates = paired_estimates(cells, rng)
    return [
        GroupRow(by, group, users, {name: estimates[f"{at} {name}"] for name in columns})
        for at, (by, group, users) in enumerate(found)
    ]

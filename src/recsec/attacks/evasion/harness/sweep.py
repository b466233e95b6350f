"""Budgets from small to large, and the smallest budget that suffices.

An image inside a small ball is inside every larger one. A sweep therefore hands each result on,
and per pair more budget never does worse: success is monotone in eps by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from recsec.attacks.evasion.base import EvasionAttack
from recsec.attacks.evasion.harness.evade import Evaded, Scene, evade
from recsec.attacks.evasion.projection import levels
from recsec.rng import Streams
from recsec.types import IntArray, Progress

__all__ = ["min_levels", "sweep"]


def sweep(
    attack: EvasionAttack,
    scene: Scene,
    *,
    eps: Sequence[float],
    rng: Streams,
    stop_rank: int = 1,
    keys: Sequence[int] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[Evaded]:
    """Attack with each budget in ascending order, each time from the best image so far.

    A pair that is confirmed at ``stop_rank`` keeps its image. Effort is that of the
    whole sweep up to the budget.

    Args:
        attack: what perturbs.
        scene: pairs, photos, model, index.
        eps: budgets, in any order.
        rng: draws.
        stop_rank: rank that needs no larger budget.
        keys: names of the pairs' streams; by default their numbers.
        progress: is told about pairs done.
        options: further arguments of ``evade``.

    Returns:
        One result per budget, ascending.
    """
    names = np.arange(len(scene)) if keys is None else np.array(keys, dtype=np.int64)
    scene = scene.prepared()
    found: list[Evaded] = []
    for budget in sorted(eps):
        if not found:
            first = evade(
                attack, scene, eps=budget, rng=rng, stop_rank=stop_rank, keys=names.tolist(),
                progress=progress, **options,
            )  # fmt: skip
            found.append(first)
            continue
        last = replace(found[-1], eps=budget)
        open_ = np.flatnonzero(~last.reached(stop_rank))
        if len(open_):
            again = evade(
                attack, pick(scene, open_), eps=budget, rng=rng, stop_rank=stop_rank,
                start=last.images[open_], keys=names[open_].tolist(), progress=progress, **options,
            )  # fmt: skip
            last = merge(last, open_, again.better_of(choose(last, open_)))
        found.append(last)
    return found


def min_levels(
    attack: EvasionAttack,
    scene: Scene,
    swept: Sequence[Evaded],
    *,
    rng: Streams,
    rank: int = 1,
    keys: Sequence[int] | None = None,
    **options: Any,
) -> IntArray:
    """The fewest gray levels (of 255) with which each pair succeeds, by bisection.

    The budgets of a sweep are the first bounds. Between them every budget is attacked from the
    clean photo. Exact among 8-bit images for an attack that never fails with more budget; else an
    upper bound.

    Args:
        attack: what perturbs.
        scene: pairs, photos, model, index.
        swept: what ``sweep`` found with the same arguments, at least one budget; the last is the
            largest that is tried.
        rng: draws.
        rank: success is this rank, as in ``Evaded.reached``.
        keys: names of the pairs' streams; by default their numbers.
        options: further arguments of ``evade``.

    Returns:
        ``(P,)`` int64; 0 where the clean photo succeeds already, -1 where even the largest fails.
    """
    names = np.arange(len(scene)) if keys is None else np.array(keys, dtype=np.int64)
    first = swept[0]
    clean = first.ranking.reached(first.table["rank_before"].to_numpy(), rank)
    low = np.zeros(len(scene), dtype=np.int64)
    high = np.where(clean, 0, -1)
    for found in swept:
        won = found.reached(rank)
        high[won & (high < 0)] = levels(found.eps)
        low[~won] = levels(found.eps)
    while (work := np.flatnonzero(high - low > 1)).size:
        middle = (low + high) // 2
        for level in np.unique(middle[work]):
            some = work[middle[work] == level]
            tried = evade(
                attack, pick(scene, some), eps=level / 255, rng=rng, stop_rank=rank,
                keys=names[some].tolist(), **options,
            )  # fmt: skip
            won = tried.reached(rank)
            high[some[won]] = level
            low[some[~won]] = level
    return high


def pick(scene: Scene, rows: IntArray) -> Scene:
    """The scene of some pairs."""
    at = torch.from_numpy(rows)
    pairs = replace(
        scene.pairs, attackers=scene.pairs.attackers[rows], targets=scene.pairs.targets[rows]
    )
    return replace(
        scene.prepared(),
        pairs=pairs,
        attackers=scene.attackers[at],
        targets=None if scene.targets is None else scene.targets[at],
    )


def choose(found: Evaded, rows: IntArray) -> Evaded:
    """The results of some pairs."""
    return replace(found, table=found.table[rows], images=found.images[rows])


def merge(whole: Evaded, rows: IntArray, part: Evaded) -> Evaded:
    """``whole`` with ``part`` in place of its ``rows``."""
    order = np.arange(len(whole.table))
    order[rows] = len(order) + np.arange(len(rows))
    images: npt.NDArray[np.uint8] = whole.images.copy()
    images[rows] = part.images
    return replace(whole, table=pl.concat([whole.table, part.table])[order], images=images)

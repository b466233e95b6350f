"""Whom do guards serve worse, of people whom the recommender has never seen?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsec import models
from recsec.data.sequences import Split, leave_one_out, pad
from recsec.errors import ConfigError
from recsec.models import Training, read_config
from recsec.registry import registry
from recsec.settings import checked
from recsec.stats import Estimate, wilson
from recsec.targets.guarded import guarded_target
from recsec.targets.guards import configured
from recsec.targets.guards.typical import keep_ranks, own_ranks
from recsec.targets.local import LocalTarget
from recsec.types import IntArray

__all__ = ["Unseen", "served_worse", "unseen_served_worse"]

LEAST = 0.5
"""Share of the items due that a list must hold, or it is a worse one."""

ROWS = 256

FEWEST = 20
"""People who are left out, at least: 10 to be fitted to, 10 to ask."""


def served_worse(due: IntArray, served: IntArray) -> npt.NDArray[np.bool_]:
    """Which lists ``(B, K)`` hold fewer than half of the items that were due, zeros where short.

    A list that is cut is compared with the first of the items due; an empty one is worse.

    >>> served_worse(np.array([[1, 2, 3]] * 2), np.array([[2, 1, 0], [1, 8, 9]])).tolist()
    [False, True]
    """
    lengths = (served > 0).sum(axis=1)
    places = np.arange(due.shape[1]) < lengths[:, None]
    first = np.where(places, due, 0)
    common = ((first[:, :, None] == served[:, None, :]) & (first[:, :, None] > 0)).sum(axis=(1, 2))
    found: npt.NDArray[np.bool_] = (common < LEAST * lengths) | (lengths == 0)
    return found


@dataclass(frozen=True)
class Unseen:
    """Shares of unseen people whose list holds fewer than half of the items due.

    Attributes:
        worse: behind the guards as they are.
        fitted: behind those that were fitted to other unseen people; None where none can be.
    """

    worse: Estimate
    fitted: Estimate | None


def unseen_served_worse(
    checkpoint: Path,
    tables: Sequence[Mapping[str, Any]],
    split: Split,
    *,
    users: int,
    k: int,
    rng: np.random.Generator,
    training: Training,
    people: Path,
) -> Unseen:
    """Leave people out of training, and see what they are served.

    The recommender of a checkpoint has seen all people there are. So its recipe is trained again
    without some of them. One half of these shows which ranks unseen people choose; the other asks,
    with whole histories and such that are cut at a random place, in turn.

    Args:
        checkpoint: whose recipe it is.
        tables: the guards; see ``build_guards``.
        split: the data that it was trained on.
        users: how many people to leave out.
        k: list length.
        rng: who is left out, and where histories are cut.
        training: where and how.
        people: where the ranks of the first half are written to.

    Raises:
        ConfigError: too few people are left to train on, or too few left out.
        CheckpointError: the checkpoint is not whole.
    """
    if not FEWEST <= users <= len(split.full) // 2:
        raise ConfigError(
            f"{users} of {len(split.full)} users cannot be left out",
            hint=f"at least {FEWEST}, at most {len(split.full) // 2}",
        )
    order = rng.permutation(len(split.full)).astype(np.int64)
    known = leave_one_out(split.full.select(np.sort(order[users:])))
    recipe = read_config(checkpoint)
    name, kind = recipe["model"], registry("models").get(recipe["model"])
    config = checked(kind.config_class, recipe["config"], where=f"settings of {name}")
    model = models.train(name, known, config, seed=recipe["seed"], training=training)

    def histories(chosen: IntArray, *, whole: bool) -> IntArray:
        rows = [split.history("test", int(user)) for user in chosen]
        return pad(row if whole else row[: rng.integers(1, len(row) + 1)] for row in rows)

    first, second = order[: users // 2], order[users // 2 : users]
    ranks = [own_ranks(model, histories(first, whole=whole)) for whole in (True, False)]
    keep_ranks(people, np.concatenate(ranks), items=len(split.catalog))
    asked = [histories(second[0::2], whole=True), histories(second[1::2], whole=False)]
    bare = LocalTarget(model)

    def share(guards: Sequence[Mapping[str, Any]]) -> Estimate:
        guarded = guarded_target(model, guards, train=known.train)
        worse = 0
        for rows in asked:
            for start in range(0, len(rows), ROWS):
                part = rows[start : start + ROWS]
                lists = [target.query("owner", part, k) for target in (bare, guarded)]
                worse += int(served_worse(*lists).sum())
        return wilson(worse, len(second))

    kinds = [one.config_class for one, _ in configured(tables)]
    fitted = [
        {**table, "people": people} if "people" in kind.model_fields else table
        for table, kind in zip(tables, kinds, strict=True)
    ]
    return Unseen(share(tables), share(fitted) if fitted != list(tables) else None)

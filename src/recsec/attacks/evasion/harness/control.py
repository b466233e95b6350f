"""Would a plain attack have done better? The reference on pairs where an attack failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.attacks.evasion.base import EvasionAttack
from recsec.attacks.evasion.harness.evade import Scene, evade
from recsec.attacks.evasion.harness.ranking import Goal, ranking_of
from recsec.attacks.evasion.harness.sweep import pick
from recsec.attacks.evasion.methods.reference import Reference
from recsec.attacks.evasion.projection import levels
from recsec.rng import Streams
from recsec.runs import RunDirectory
from recsec.stats import Estimate, wilson

__all__ = ["SAMPLE", "Control", "control", "control_run", "failed_sample", "has_control"]

SAMPLE = 20
"""Failed pairs that the reference attacks."""


@dataclass(frozen=True)
class Control:
    """What the reference reached where an attack, or all attacks together, failed.

    Attributes:
        pairs: of the rate that is checked.
        reached: pairs of them that the attack brought to the rank.
        tried: pairs of the others, sampled, that the reference attacked.
        won: pairs of these that it brought to the rank.
    """

    pairs: int
    reached: int
    tried: int
    won: int

    @property
    def found(self) -> Estimate:
        """The rate of the attack."""
        return wilson(self.reached, self.pairs)

    @property
    def least(self) -> float:
        """The rate with what the reference would add, at the lower end of its interval."""
        if self.tried == 0:
            return self.found.value
        added = wilson(self.won, self.tried).low or 0.0
        return self.found.value + (1 - self.found.value) * added

    @property
    def weak(self) -> bool:
        """Whether the reference adds more than the interval of the rate holds."""
        high = self.found.high
        return high is not None and self.least > high

    def __str__(self) -> str:
        words = f"the plain reference attack succeeds on {self.won} of {self.tried} failed pairs"
        if not self.weak:
            return words
        return f"{words}: the rate is at least {self.least:.1%}, not {self.found.value:.1%}"

    def to_json(self) -> dict[str, Any]:
        """The counts and the verdict."""
        return {**vars(self), "least": self.least, "weak": self.weak}


def failed_sample(reached: npt.NDArray[np.bool_], rng: Streams) -> npt.NDArray[np.int64]:
    """Up to ``SAMPLE`` numbers of pairs that were not reached, in order."""
    failed = np.flatnonzero(~reached)
    chosen = rng.child("reference").numpy("sample").permutation(failed)[:SAMPLE]
    return np.sort(chosen)


def control(
    scene: Scene,
    reached: npt.NDArray[np.bool_],
    *,
    eps: float,
    rng: Streams,
    rank: int,
    **options: Any,
) -> Control:
    """Attack some failed pairs with the reference.

    Args:
        scene: pairs, photos, model, index.
        reached: ``(P,)``, the pairs that the attack under test brought to ``rank``.
        eps: its budget.
        rng: draws the sample.
        rank: of success.
        options: further arguments of ``evade``: goal, ingest, surrogate.
    """
    rows = failed_sample(reached, rng) if levels(eps) else np.arange(0)
    won = 0
    if len(rows):
        found = evade(
            Reference(Reference.config_class()), pick(scene, rows),
            eps=eps, rng=rng, stop_rank=rank, **options,
        )  # fmt: skip
        inside = found.table["in_budget"].to_numpy()
        won = int((found.reached(rank) & inside).sum())
    return Control(len(reached), int(reached.sum()), len(rows), won)


def has_control(attack: EvasionAttack) -> bool:
    """Whether the reference is a fair control: it needs the gradients of the model itself."""
    return attack.access == "gradients" and attack.name != "reference"


def control_run(
    run: RunDirectory,
    scene: Scene,
    table: pl.DataFrame,
    *,
    eps: Sequence[float],
    rng: Streams,
    stop_rank: int,
    goal: Goal | None = None,
    **options: Any,
) -> list[Control]:
    """The reference on failed pairs of ``run_pairs``, for each budget; finished work is kept.

    Args:
        run: where results go.
        scene: what was attacked.
        table: what ``run_pairs`` returned.
        eps: budgets.
        rng: draws.
        stop_rank: rank that counts as success.
        goal: see ``evade``.
        options: further arguments of ``evade``.
    """
    ranking, found = ranking_of(goal or "cosine"), []
    for number, budget in enumerate(eps):
        cell = f"reference-{number:04d}"
        done = run.done(cell)
        if done is None:
            ranks = table.filter(pl.col("eps") == budget)["rank_after"].to_numpy()
            with run.timed("reference"):
                seen = control(
                    scene, ranking.reached(ranks, stop_rank),
                    eps=budget, rng=rng, rank=stop_rank, goal=goal, **options,
                )  # fmt: skip
            done = vars(seen)
            run.finish(cell, done)
        found.append(Control(**done))
    return found

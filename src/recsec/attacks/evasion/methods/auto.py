"""An ensemble that needs no tuning: one attack after the other, on what is left."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from recsec.attacks.evasion.base import Attempt, EvasionAttack, EvasionConfig, Perturbed, unchanged
from recsec.attacks.evasion.fast import prepare
from recsec.attacks.evasion.methods.gradient import Apgd, MomentumPgd
from recsec.attacks.evasion.methods.square import Square

__all__ = ["Auto", "AutoConfig"]


class AutoConfig(EvasionConfig):
    """Settings of the ensemble: its effort, nothing that an encoder could need otherwise."""

    steps: int = Field(100, ge=1, le=100_000, description="gradients per image of each member")
    queries: int = Field(100, ge=0, description="of the black box, where gradients failed")


class Auto(EvasionAttack):
    """MI, APGD and Square in turn; each meets only the rows that those before it left.

    Small steps with momentum, large steps that halve themselves, and no gradients at all: what
    fools one of them need not fool the others. Square goes on from the best of both.

    Source: Croce & Hein, ICML 2020, whose AutoAttack does so with classifiers.
    """

    name = "auto"
    config_class: ClassVar[type[EvasionConfig]] = AutoConfig
    config: AutoConfig

    def search(self, attempt: Attempt) -> Perturbed:
        """See ``EvasionAttack.search``."""
        images, objective, start = attempt.images, attempt.objective, attempt.start
        found, ready = unchanged(images), prepare(attempt.embedder, images)
        left = torch.arange(len(images), device=images.device)
        for member in self._members():
            goal = objective.select(left)
            first = None if start is None else start[left]
            claim = member.perturb(
                ready, images[left], goal, eps=attempt.eps, rng=attempt.rng.child(member.name),
                keys=[attempt.keys[row] for row in left.tolist()],
                start=found.images[left] if member.name == "square" else first,
            )  # fmt: skip
            _add(found, left, claim)
            with torch.no_grad():
                solved = goal.solved(ready.judge(claim.images, raw=objective.raw))
            left = left[~solved]
            if len(left) == 0:
                break
        return found

    def _members(self) -> list[EvasionAttack]:
        steps, asked = {"steps": self.config.steps}, {"queries": self.config.queries}
        members: list[EvasionAttack] = [
            MomentumPgd(MomentumPgd.config_class.model_validate(steps)),
            Apgd(Apgd.config_class.model_validate(steps)),
        ]
        if self.config.queries:
            members.append(Square(Square.config_class.model_validate(asked)))
        return members


def _add(found: Perturbed, rows: Tensor, claim: Perturbed) -> None:
    """Keep what a member improved, and count its effort."""
    better = claim.best > found.best[rows]
    found.images[rows[better]] = claim.images[better]
    found.best[rows[better]] = claim.best[better]
    for name in ("forwards", "backwards", "queries", "dead"):
        getattr(found, name)[rows] += getattr(claim, name)

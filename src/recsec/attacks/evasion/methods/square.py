"""Square: random squares, kept where the answer of an API improves. No gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from recsec.attacks.evasion.base import (
    Access,
    Attempt,
    EvasionAttack,
    EvasionConfig,
    Perturbed,
    unchanged,
)
from recsec.attacks.evasion.fast import Prepared, prepare
from recsec.attacks.evasion.objective import ListedPlace, ListOverlap, Objective
from recsec.attacks.evasion.projection import Ball
from recsec.errors import ConfigError
from recsec.rng import Streams

__all__ = ["Square", "SquareConfig", "square_share"]

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Of 10,000 steps: where the area of the squares halves."""


class SquareConfig(EvasionConfig):
    """Settings of Square."""

    queries: int = Field(1000, ge=1, le=1_000_000, description="images asked about per pair")
    area: float = Field(0.3, gt=0, le=1, description="share of the image of the first squares")
    oracle: Literal["scores", "ids"] = Field(
        "scores", description="what the API answers: the target's score, or a list of ids"
    )
    k: int = Field(50, ge=1, description="length of the lists of ids")


def square_share(step: int, steps: int, area: float) -> float:
    """The share of the image that the square of a step covers.

    Source: Andriushchenko et al., ECCV 2020, section 4; the schedule for 10,000 steps, rescaled.

    >>> square_share(0, 10_000, 0.8), square_share(300, 10_000, 0.8)
    (0.8, 0.1)
    """
    at = step * 10_000 / steps
    return area * math.pow(0.5, sum(at > mark for mark in HALVINGS))


class Square(EvasionAttack):
    """Random search with squares of +-eps; it sees only what the API answers.

    One query is one image. With ``oracle=scores`` the API tells the score of the target; with
    ``oracle=ids`` only lists, and the search follows their overlap with the target's own list.

    Source: Andriushchenko et al., ECCV 2020, the L-infinity version.
    """

    name = "square"
    config_class: ClassVar[type[EvasionConfig]] = SquareConfig
    config: SquareConfig

    @property
    def access(self) -> Access:
        """What the API has to answer."""
        return self.config.oracle

    def search(self, attempt: Attempt) -> Perturbed:
        """One step asks one image of every row that is not solved."""
        images, objective, start = attempt.images, attempt.objective, attempt.start
        if self.config.oracle == "ids" and not isinstance(objective, ListOverlap | ListedPlace):
            raise ConfigError(
                "who sees lists of ids only can follow nothing but their overlap",
                hint="--goal lists, or --set oracle=scores",
            )
        found = unchanged(images)
        ball = Ball.around(images, attempt.eps)
        ready = prepare(attempt.embedder, images, precision="float32")
        draws = _Draws(self.config.queries, attempt.keys, attempt.rng)
        rows = torch.arange(len(images), device=images.device)
        best = images if start is None else start
        for step in range(self.config.queries):
            if step == 0:
                tried = best.clone()
            elif step == 1 and start is None:
                tried = draws.stripes(ball, rows)
            else:
                share = square_share(step, self.config.queries, self.config.area)
                tried = draws.square(best, ball, rows, step, share)
            values, solved = self._ask(ready, objective, tried, raw=objective.raw)
            found.queries[rows] += 1
            found.forwards[rows] += 1
            better = (values > found.best[rows]) | solved
            found.best[rows[better]] = values[better]
            found.images[rows[better]] = tried[better]
            best = torch.where(better[:, None, None, None], tried, best)
            if solved.any():
                rows, ball, best = rows[~solved], ball.select(~solved), best[~solved]
                objective = objective.select(~solved)
                if len(rows) == 0:
                    break
        return found

    @torch.no_grad()
    def _ask(
        self, ready: Prepared, objective: Objective, images: Tensor, *, raw: bool
    ) -> tuple[Tensor, Tensor]:
        vectors = ready.judge(images, raw=raw)
        return objective.values(vectors), objective.solved(vectors)


class _Draws:
    """The random numbers of all steps, each row from its own stream."""

    def __init__(self, steps: int, keys: Sequence[int], rng: Streams) -> None:
        streams = [rng.child(key) for key in keys]
        self.places = torch.stack(
            [torch.rand(steps, 2, generator=one.torch("places")) for one in streams]
        )
        self.signs = torch.stack(
            [torch.rand(steps, 3, generator=one.torch("signs")) < 0.5 for one in streams]
        )
        self.streams = streams

    def stripes(self, ball: Ball, rows: Tensor) -> Tensor:
        """Vertical stripes one pixel wide, the start of the search."""
        shape = ball.low.shape[1:]
        up = torch.stack(
            [
                torch.rand(shape[0], 1, shape[2], generator=self.streams[row].torch("stripes"))
                < 0.5
                for row in rows.tolist()
            ]
        )
        return torch.where(up.to(rows.device), ball.high, ball.low)

    def square(self, best: Tensor, ball: Ball, rows: Tensor, step: int, share: float) -> Tensor:
        """``best`` with a square in which every channel goes to one of its bounds."""
        height, width = best.shape[-2:]
        side = max(1, min(height, width, round((share * height * width) ** 0.5)))
        place = self.places[rows.cpu(), step].to(best.device)
        top = (place[:, 0] * (height - side + 1)).long()[:, None]
        left = (place[:, 1] * (width - side + 1)).long()[:, None]
        y, x = torch.arange(height, device=best.device), torch.arange(width, device=best.device)
        inside_y = (y >= top) & (y < top + side)
        inside_x = (x >= left) & (x < left + side)
        inside = (inside_y[:, :, None] & inside_x[:, None, :])[:, None]
        up = self.signs[rows.cpu(), step].to(best.device)[:, :, None, None]
        return torch.where(inside, torch.where(up, ball.high, ball.low), best)

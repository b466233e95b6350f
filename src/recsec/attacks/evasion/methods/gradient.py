"""One gradient loop; FGSM, PGD, momentum and APGD are settings of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from recsec.attacks.evasion.base import Attempt, EvasionAttack, EvasionConfig, Perturbed, unchanged
from recsec.attacks.evasion.fast import Prepared, prepare
from recsec.attacks.evasion.objective import Objective
from recsec.attacks.evasion.projection import Ball, effective_eps, quantize
from recsec.attacks.evasion.steps import advance, checkpoints, random_in, spans
from recsec.errors import TargetError
from recsec.models import Precision
from recsec.rng import Streams

__all__ = [
    "Apgd",
    "Fgsm",
    "GradientAttack",
    "GradientConfig",
    "MomentumPgd",
    "Pgd",
    "State",
]


Schedule: TypeAlias = Literal["constant", "linear", "cosine", "geometric", "checkpoints"]


def share_of_size(schedule: Schedule, done: float) -> float:
    """The size of a step relative to the first, with a share ``done`` of the steps taken.

    >>> [share_of_size(one, 0.5) for one in ("constant", "linear", "checkpoints")]
    [1.0, 0.5, 1.0]
    """
    if schedule == "linear":
        return 1 - done
    if schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    if schedule == "geometric":
        return math.pow(0.05, done)
    return 1.0


class GradientConfig(EvasionConfig):
    """Settings of the gradient loop."""

    steps: int = Field(30, ge=1, le=100_000, description="gradients per image and restart")
    step_size: float = Field(0.2, gt=0, description="of the first step, as a share of eps")
    schedule: Schedule = Field(
        "constant", description="how the step size falls; checkpoints: Croce & Hein's halving"
    )
    momentum: float = Field(0.0, ge=0, le=1, description="of the gradient, each of mean size 1")
    inertia: float = Field(
        0.0, ge=0, lt=1, description="share of the last move in the next one (APGD: 0.25)"
    )
    random_start: bool = Field(False, description="start anywhere in the ball")
    restarts: int = Field(1, ge=1, description="runs; those after the first start anywhere")
    keep: Literal["best", "last"] = Field("best", description="which iterate is returned")
    grid: bool = Field(True, description="search among 8-bit images; off: round at the end")
    precision: Precision = Field("auto", description="of the search; success is float32")


@dataclass
class State:
    """The rows that are still at work; every tensor has one row each."""

    rows: Tensor
    """Their numbers in the result."""
    x: Tensor
    """Where the search stands, between the grid points."""
    low: Tensor
    high: Tensor
    best: Tensor
    best_value: Tensor
    size: Tensor
    last_value: Tensor
    rises: Tensor
    size_then: Tensor
    best_then: Tensor
    momentum: Tensor | None = None
    before: Tensor | None = None
    best_gradient: Tensor | None = None
    tanh: Tensor | None = None
    """Where a search in tanh space stands."""
    second: Tensor | None = None
    """Adam's second moment."""
    center: Tensor | None = None
    """The clean images, where an attack looks back at them."""

    def keep(self, rows: Tensor) -> State:
        """The state of some rows."""
        return replace(
            self,
            **{
                name: value[rows] for name, value in vars(self).items() if isinstance(value, Tensor)
            },
        )


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


class GradientAttack(EvasionAttack):
    """Projected steps along the sign of the gradient, with all the refinements as settings."""

    name = "gradient"
    config_class: ClassVar[type[EvasionConfig]] = GradientConfig
    config: GradientConfig

    def search(self, attempt: Attempt) -> Perturbed:
        """Forwards of a row: one a step, one for the last iterate, and one for each time a search
        in bfloat16 claimed success.
        """
        images, eps, start, rng = attempt.images, attempt.eps, attempt.start, attempt.rng
        found = unchanged(images)
        ready = prepare(attempt.embedder, images, precision=self.config.precision)
        ball = Ball.around(images, eps, grid=self.config.grid)
        size = effective_eps(eps) if self.config.grid else eps
        left = torch.arange(len(images), device=images.device)
        for restart in range(self.config.restarts):
            first = images if start is None else start
            anywhere = self.config.random_start if start is None else False
            if restart > 0 or anywhere:
                streams = [rng.child(attempt.keys[row]).child(restart) for row in left.tolist()]
                first = images.clone()
                first[left] = random_in(ball.select(left), streams)
            left = self._run(ready, ball, attempt.objective, found, left, first, size=size, rng=rng)
            if len(left) == 0:
                break
        return found

    def _run(
        self,
        ready: Prepared,
        ball: Ball,
        objective: Objective,
        found: Perturbed,
        rows: Tensor,
        first: Tensor,
        *,
        size: float,
        rng: Streams,
    ) -> Tensor:
        """One run over ``rows``; writes to ``found`` and returns the rows not solved."""
        config, raw = self.config, objective.raw
        state = self._begin(ball.select(rows), rows, first[rows], size)
        goal = objective.select(rows)
        span_at = dict(zip(checkpoints(config.steps)[1:], spans(config.steps), strict=True))
        unsolved = []
        for step in range(config.steps + 1):
            final = step == config.steps
            if final and config.keep == "last":
                _write(found, state.rows, self._point(state), state.best_value)
                return state.rows
            point = self._point(state).requires_grad_(not final)
            with torch.set_grad_enabled(not final):
                embeddings = ready.find(self._view(point, step, rng), raw=raw)
                values = goal.values(embeddings)
            gradient = None
            if not final:
                (gradient,) = torch.autograd.grad(values.sum(), point)
            with torch.no_grad():
                values, point = values.detach(), point.detach()
                if step == 0 and not torch.isfinite(values).all():
                    raise TargetError(
                        "the embedder gives values that are not finite",
                        hint="check the weights of the checkpoint for NaN",
                    )
                found.forwards[state.rows] += 1
                better = values > state.best_value
                state.best[better] = point[better]
                state.best_value = torch.maximum(state.best_value, values)
                if gradient is not None:
                    found.backwards[state.rows] += 1
                    found.dead[state.rows] += _dead(gradient)
                    if state.best_gradient is not None:
                        state.best_gradient[better] = gradient[better]
                solved = self._solved(ready, goal, embeddings, point, found, state)
                if config.keep == "best" and solved.any():
                    _write(found, state.rows[solved], point[solved], values[solved], force=True)
                    left = ~solved
                    state, goal = state.keep(left), goal.select(left)
                    values = values[left]
                    gradient = None if gradient is None else gradient[left]
                    if len(state.rows) == 0:
                        break
                if gradient is None:
                    unsolved.append(state.rows)
                    _write(found, state.rows, state.best, state.best_value)
                    break
                state.rises += values > state.last_value
                state.last_value = values
                if state.best_gradient is not None and step in span_at:
                    gradient = _look_back(state, gradient, state.best_gradient, span_at[step])
                self._move(state, gradient, step)
        return torch.cat(unsolved) if unsolved else rows[:0]

    def _begin(self, ball: Ball, rows: Tensor, first: Tensor, size: float) -> State:
        config = self.config
        x = first.clone(memory_format=torch.channels_last)
        low = ball.low.contiguous(memory_format=torch.channels_last)
        high = ball.high.contiguous(memory_format=torch.channels_last)
        none = torch.full((len(rows),), float("-inf"), device=x.device)
        sizes = torch.full_like(none, config.step_size * size)
        zero = torch.zeros_like(rows)
        momentum = torch.zeros_like(x) if config.momentum else None
        before = x.clone() if config.inertia else None
        best_gradient = torch.zeros_like(x) if config.schedule == "checkpoints" else None
        return State(
            rows, x, low, high, x.clone(), none, sizes, none.clone(), zero, sizes.clone(),
            none.clone(), momentum, before, best_gradient,
        )  # fmt: skip

    def _point(self, state: State) -> Tensor:
        """The image that is embedded: the nearest 8-bit image, whose gradient stands for x."""
        if not self.config.grid:
            return state.x.clone()
        return quantize(state.x).clamp_(state.low, state.high)

    def _view(self, point: Tensor, step: int, rng: Streams) -> Tensor:
        """What the model is shown instead of ``point``; the same for all rows of a step."""
        return point

    def _solved(
        self,
        ready: Prepared,
        goal: Objective,
        embeddings: Tensor,
        point: Tensor,
        found: Perturbed,
        state: State,
    ) -> Tensor:
        """Rows whose 8-bit image succeeds in float32."""
        if self.config.keep == "last":
            return torch.zeros(len(point), dtype=torch.bool, device=point.device)
        solved = goal.solved(embeddings.detach())
        if (ready.approximate or not self.config.grid) and solved.any():
            image = point[solved]
            if not self.config.grid:
                image = Ball(state.low[solved], state.high[solved]).round(image)
            sure = goal.select(solved).solved(ready.judge(image, raw=goal.raw))
            found.forwards[state.rows[solved]] += 1
            solved[solved.clone()] = sure
        return solved

    def _move(self, state: State, gradient: Tensor, step: int) -> None:
        """The next x, in place."""
        config = self.config
        direction = gradient
        if state.momentum is not None:
            scale = gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_(min=1e-30)
            state.momentum.mul_(config.momentum).add_(gradient.div_(scale))
            direction = state.momentum
        size = state.size * share_of_size(config.schedule, step / config.steps)
        moved = advance(state.x, direction, _wide(size), state.low, state.high)
        if state.before is not None:
            if step > 0:
                share = 1 - config.inertia
                moved = state.x + share * (moved - state.x)
                moved += config.inertia * (state.x - state.before)
                moved = torch.clamp(moved, state.low, state.high, out=moved)
            state.before = state.x
        state.x = moved


def _look_back(state: State, gradient: Tensor, best_gradient: Tensor, span: int) -> Tensor:
    """Halve the step and go back to the best, where the span brought too little.

    Source: Croce & Hein, ICML 2020, conditions 1 and 2 with rho = .75.
    """
    few = state.rises < 0.75 * span
    stuck = (state.size == state.size_then) & (state.best_value <= state.best_then)
    halve = few | stuck
    state.size_then, state.best_then = state.size.clone(), state.best_value.clone()
    state.size[halve] /= 2
    state.rises.zero_()
    state.x[halve] = state.best[halve]
    if state.before is not None:
        state.before[halve] = state.best[halve]
    gradient[halve] = best_gradient[halve]
    return gradient


def _dead(gradient: Tensor) -> Tensor:
    """1 for rows whose gradient is zero or not finite; those values become zero."""
    size = gradient.abs().amax(dim=(1, 2, 3))
    broken = ~torch.isfinite(size)
    gradient[broken] = 0
    return (broken | (size == 0)).long()


def _write(
    found: Perturbed, rows: Tensor, images: Tensor, values: Tensor, *, force: bool = False
) -> None:
    """Keep the images of ``rows`` in the result where they are better, or anyway."""
    better = torch.ones_like(rows, dtype=torch.bool) if force else values > found.best[rows]
    found.images[rows[better]] = images[better].contiguous()
    found.best[rows[better]] = values[better]


class Fgsm(GradientAttack):
    """One step to the border of the ball (FGSM). Source: Goodfellow et al., ICLR 2015."""

    name = "fgsm"

    class Config(GradientConfig):
        """Settings of FGSM."""

        steps: int = Field(1, ge=1, le=1, description="it is one step")
        step_size: float = Field(1.0, gt=0, description="of the step, as a share of eps")

    config_class: ClassVar[type[EvasionConfig]] = Config


class Pgd(GradientAttack):
    """Projected gradient steps of constant size. Source: Madry et al., ICLR 2018."""

    name = "pgd"
    config_class = GradientConfig


class MomentumPgd(GradientAttack):
    """Small steps with full momentum, falling along a line. Source: Dong et al., CVPR 2018.

    Departs from it in the size of the steps: a fifth of eps and falling, not eps / steps. Large
    first steps with less momentum are as good on some encoders and half as good on others
    (``benchmarks/results/attack_panel.txt``).
    """

    name = "mi"

    class Config(GradientConfig):
        """Settings of MI."""

        schedule: Schedule = Field("linear", description="how the step size falls")
        momentum: float = Field(1.0, ge=0, le=1, description="of the gradient")

    config_class: ClassVar[type[EvasionConfig]] = Config


class Apgd(GradientAttack):
    """Steps that halve themselves where they bring nothing. Source: Croce & Hein, ICML 2020.

    Departs from it in two ways. Gradients add up (momentum 1), each of mean size 1: the sign of one
    gradient alone flips where steps are large, so that it mattered how large the first is. With
    momentum it does not (``benchmarks/results/gpu_224.txt``). And the first step is half of eps,
    not twice, which puts every pixel on the border whatever its gradient.
    """

    name = "apgd"

    class Config(GradientConfig):
        """Settings of APGD."""

        steps: int = Field(100, ge=1, le=100_000, description="gradients per image and restart")
        step_size: float = Field(0.5, gt=0, description="of the first step, as a share of eps")
        schedule: Schedule = Field("checkpoints", description="how the step size falls")
        momentum: float = Field(1.0, ge=0, le=1, description="of the gradient")
        inertia: float = Field(0.25, ge=0, lt=1, description="share of the last move in the next")

    config_class: ClassVar[type[EvasionConfig]] = Config

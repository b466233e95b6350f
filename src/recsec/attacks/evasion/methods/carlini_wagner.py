"""Carlini & Wagner's change of variables, inside a hard ball."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from recsec.attacks.evasion.base import EvasionConfig
from recsec.attacks.evasion.methods.gradient import GradientAttack, GradientConfig, State
from recsec.attacks.evasion.projection import Ball

__all__ = ["CarliniWagner", "CarliniWagnerConfig", "ThesisCw", "ThesisCwConfig"]


FAR = 2.5
"""tanh is 0.987 there: nearly the border of the ball, and the gradient still finds the way back."""


class CarliniWagnerConfig(GradientConfig):
    """Settings of Carlini & Wagner's attack."""

    steps: int = Field(200, ge=1, le=100_000, description="gradients per image and restart")
    lr: float = Field(0.5, gt=0, description="of Adam, in tanh space")
    decay: bool = Field(True, description="lower lr to zero along a line")


class CarliniWagner(GradientAttack):
    """Adam in tanh space, scaled to the ball so that no iterate can leave it.

    ``x = middle + half * tanh(w)`` per pixel, where the ball and the pixel range leave
    ``middle +- half``. A white pixel therefore starts in the middle of what it may become instead
    of where the gradient vanishes, and no penalty has to be weighed. Adam's moments are kept.

    Source: Carlini & Wagner, IEEE S&P 2017, section V; we bound by the ball, not by [0, 1] and a
    penalty.
    """

    name = "cw"
    config_class: ClassVar[type[EvasionConfig]] = CarliniWagnerConfig
    config: CarliniWagnerConfig

    def _begin(self, ball: Ball, rows: Tensor, first: Tensor, size: float) -> State:
        state = super()._begin(ball, rows, first, size)
        half = (state.high - state.low) / 2
        share = (first - state.low - half) / half.clamp(min=1e-9)
        state.tanh = torch.atanh(share.clamp(-0.9, 0.9))
        state.momentum = torch.zeros_like(state.x)
        state.second = torch.zeros_like(state.x)
        return state

    def _move(self, state: State, gradient: Tensor, step: int) -> None:
        if state.tanh is None or state.momentum is None or state.second is None:
            raise TypeError("the state belongs to another attack")
        half = (state.high - state.low) / 2
        slope = gradient * half * (1 - state.tanh.tanh().square())
        state.momentum.lerp_(slope, 0.1)
        state.second.lerp_(slope.square(), 0.001)
        mean = state.momentum / (1 - 0.9 ** (step + 1))
        spread = (state.second / (1 - 0.999 ** (step + 1))).sqrt_()
        lr = self.config.lr * (1 - step / self.config.steps if self.config.decay else 1)
        state.tanh += lr * mean / (spread + 1e-12)
        state.tanh.clamp_(-FAR, FAR)
        state.x = state.low + half * (1 + state.tanh.tanh())


class ThesisCwConfig(GradientConfig):
    """Settings of the thesis' variant."""

    steps: int = Field(1000, ge=1, le=100_000, description="gradients per image")
    lr: float = Field(5e-3, gt=0, description="of each step in tanh space")
    weight: float = Field(20.0, gt=0, description="of the cosine against the penalty")
    keep: Literal["best", "last"] = Field("last", description="which iterate is returned")
    grid: bool = Field(False, description="search among 8-bit images")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="of the search"
    )


class ThesisCw(GradientAttack):
    """The thesis' "CW" to the letter: Adam rebuilt at every step, eps a soft penalty only.

    Maximizes ``20 cos - sum(relu(|x' - x| - eps))`` in tanh space over [0, 1]. The first step of
    a fresh Adam is ``lr * sign(gradient)``, so this is sign descent without momentum. The result
    may leave the ball: confirm it with and without projection.

    Source: P. Normann, master thesis (2020), and its public code.
    """

    name = "thesis-cw"
    config_class: ClassVar[type[EvasionConfig]] = ThesisCwConfig
    config: ThesisCwConfig

    def _begin(self, ball: Ball, rows: Tensor, first: Tensor, size: float) -> State:
        state = super()._begin(ball, rows, first, size)
        state.center = first.clone()
        state.tanh = torch.atanh((2 * first - 1) * 0.999999)
        state.x = (state.tanh.tanh() + 1) / 2
        return state

    def _move(self, state: State, gradient: Tensor, step: int) -> None:
        if state.tanh is None or state.center is None:
            raise TypeError("the state belongs to another attack")
        change = (state.x - state.center).view_as(state.x)
        over = change.abs() > _rows(state.size / self.config.step_size, change)
        uphill = self.config.weight * gradient - change.sign() * over
        slope = uphill * (1 - state.tanh.tanh().square()) / 2
        state.tanh += self.config.lr * slope / (slope.abs() + 1e-8)
        state.x = (state.tanh.tanh() + 1) / 2


def _rows(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))

"""The pieces of a gradient attack: its steps, its start, and the inner loop of training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from recsec.attacks.evasion.projection import Ball
from recsec.rng import Streams

__all__ = ["advance", "ascend", "checkpoints", "random_in", "spans"]


def advance(
    x: Tensor, direction: Tensor, size: Tensor | float, low: Tensor, high: Tensor
) -> Tensor:
    """One step of ``size`` along the sign of ``direction``, projected; a new tensor."""
    moved = direction.sign().mul_(size).add_(x)
    return torch.clamp(moved, low, high, out=moved)


def ascend(
    loss_of_images: Callable[[Tensor], Tensor],
    images: Float[Tensor, "B C H W"],
    *,
    eps: float,
    steps: int,
    step_size: float,
    rng: torch.Generator | None = None,
) -> Float[Tensor, "B C H W"]:
    """Images in the ball whose loss is higher: the inner attack of training.

    The steps of the gradient loop without its bookkeeping: last iterate, no 8-bit grid. Whoever
    calls it puts the model into eval mode and switches the gradients of its parameters off.

    Args:
        loss_of_images: ``(B, C, H, W)`` to a scalar or ``(B,)``, differentiable.
        images: in [0, 1].
        eps: radius, a share of the pixel range.
        steps: gradients.
        step_size: in pixel units, such as ``2.5 * eps / steps``.
        rng: draws the start, uniform in the ball; None starts at the images.
    """
    ball = Ball.around(images, eps, grid=False)
    x = images
    if rng is not None:
        draws = torch.rand(images.shape, generator=rng, device=images.device)
        x = ball.low + draws * (ball.high - ball.low)
    for _ in range(steps):
        x = x.detach().requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(loss_of_images(x).sum(), x)
        with torch.no_grad():
            x = advance(x, gradient, step_size, ball.low, ball.high)
    return x.detach()


def random_in(ball: Ball, streams: Sequence[Streams]) -> Tensor:
    """One image of each row's ball, uniform; row i draws from ``streams[i]``."""
    shape = ball.low.shape[1:]
    draws = torch.stack([torch.rand(shape, generator=one.torch("start")) for one in streams])
    return ball.low + draws.to(ball.low.device) * (ball.high - ball.low)


def checkpoints(steps: int) -> list[int]:
    """At which steps APGD looks back.

    Source: Croce & Hein, ICML 2020, section 3: p0 = 0, p1 = .22,
    p(j+1) = p(j) + max(p(j) - p(j-1) - .03, .06).

    >>> checkpoints(100)
    [0, 22, 41, 57, 70, 80, 87, 93, 99]
    """
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return sorted({math.ceil(round(share * steps, 6)) for share in shares if share < 1})


def spans(steps: int) -> list[int]:
    """How many steps lie between one of the ``checkpoints`` and the next."""
    return [after - before for before, after in pairwise(checkpoints(steps))]

"""Randomized smoothing of the cosine: how near to a target *no* perturbation can come.

The smoothed similarity of an image x to a target vector t is ``h(x) = E <f(x + n), t>`` with
Gaussian noise n of deviation sigma in every pixel. It lies in [-1, 1], and however strange f is,
h cannot change faster than a bound that knows sigma only. The certificate therefore holds for a
recommender that ranks uploads by h; for the plain cosine it says nothing.

Source: Salman et al., Provably Robust Deep Learning via Adversarially Trained Smoothed
Classifiers (NeurIPS 2019), lemma 2, applied to (h + 1) / 2. The upper bound of h from finitely
many draws: Hoeffding (1963), or Maurer & Pontil, Empirical Bernstein Bounds (COLT 2009), theorem 4;
the smaller of the two, each at half the error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from recsec.errors import ConfigError

__all__ = ["Smoothed", "largest_similarity", "safe_radius", "smooth", "upper_bound"]

EDGE = 1e-12
"""Shares of the normal distribution are kept this far from 0 and 1."""


@dataclass(frozen=True)
class Smoothed:
    """What n noisy looks at one image say of its smoothed similarity to T targets.

    Attributes:
        mean: ``(T,)`` float64, the mean cosine over the draws: an estimate of h.
        upper: ``(T,)`` float64, not below h but for a chance of ``alpha`` (each target alone).
        draws: n.
        sigma: deviation of the noise, in units of the pixel range.
        alpha: the chance of error.
    """

    mean: Float[Tensor, " T"]
    upper: Float[Tensor, " T"]
    draws: int
    sigma: float
    alpha: float


def upper_bound(
    mean: Float[Tensor, " T"], variance: Float[Tensor, " T"], draws: int, alpha: float
) -> Float[Tensor, " T"]:
    """A value that the expectation of a variable in [-1, 1] exceeds with probability <= alpha.

    Args:
        mean: of the draws.
        variance: of the draws, the unbiased estimate.
        draws: n, at least 2.
        alpha: the chance of error, split between the two inequalities.
    """
    logs = math.log(2 / alpha)  # each inequality at alpha / 2
    hoeffding = mean + 2 * math.sqrt(logs / (2 * draws))
    logs = math.log(4 / alpha)  # theorem 4 has log(2 / delta)
    bernstein = mean + (2 * variance * logs / draws).sqrt() + 2 * 7 * logs / (3 * (draws - 1))
    return torch.minimum(hoeffding, bernstein).clamp(max=1.0)


@torch.no_grad()
def smooth(
    embedder: Callable[[Tensor], Tensor],
    image: Float[Tensor, "C H W"],
    targets: Float[Tensor, "T D"],
    *,
    sigma: float,
    draws: int,
    rng: torch.Generator,
    alpha: float = 0.001,
    batch: int = 256,
) -> Smoothed:
    """Embed ``draws`` noisy copies of an image and bound its smoothed similarity to each target.

    The noisy pixels are not clipped: the bound needs the noise to be Gaussian.

    Args:
        embedder: images to unit vectors.
        image: pixels in [0, 1].
        targets: unit vectors, float32.
        sigma: deviation of the noise, in units of the pixel range.
        draws: n, at least 2; the bound shrinks with its root.
        rng: draws the noise.
        alpha: the chance that an upper bound is wrong.

    Raises:
        ConfigError: settings for which there is no bound.
    """
    if not sigma > 0 or draws < 2 or not 0 < alpha < 1:
        raise ConfigError(
            f"sigma = {sigma}, draws = {draws}, alpha = {alpha}: expected sigma > 0, at least 2 "
            "draws and alpha between 0 and 1"
        )
    found = []
    for start in range(0, draws, batch):
        shape = (min(batch, draws - start), *image.shape)
        noise = torch.randn(shape, generator=rng, device=image.device)
        found.append((embedder(image + sigma * noise) @ targets.T).double())
    cosines = torch.cat(found)
    mean, variance = cosines.mean(dim=0), cosines.var(dim=0)
    return Smoothed(mean, upper_bound(mean, variance, draws, alpha), draws, sigma, alpha)


def _normal(share: Tensor) -> Tensor:
    """The quantile of the standard normal distribution."""
    quantile: Tensor = torch.special.ndtri(share.clamp(EDGE, 1 - EDGE))
    return quantile


def largest_similarity(
    upper: Float[Tensor, " T"], radius: float, sigma: float
) -> Float[Tensor, " T"]:
    """The largest h that a perturbation of L2 norm ``radius`` can reach.

    ``2 Phi(Phi^-1((s + 1) / 2) + radius / sigma) - 1``; equality for a half-space.

    >>> round(float(largest_similarity(torch.tensor([0.2]).double(), 0.471, 0.25)[0]), 2)
    0.97
    """
    share: Tensor = torch.special.ndtr(_normal((upper + 1) / 2) + radius / sigma)
    return 2 * share - 1


def safe_radius(
    upper: Float[Tensor, " T"], thresholds: Float[Tensor, " T"], sigma: float
) -> Float[Tensor, " T"]:
    """The L2 norm below which no perturbation lifts h above a threshold; 0 where none is safe.

    ``sigma (Phi^-1((threshold + 1) / 2) - Phi^-1((s + 1) / 2))``: the inverse of
    ``largest_similarity``. A ball of L-infinity radius eps in D pixels lies within the L2 ball of
    radius ``eps sqrt(D)``, so a radius r certifies ``eps = r / sqrt(D)``: 0.009 r at 64 x 64 x 3.
    """
    gap = _normal((thresholds.double() + 1) / 2) - _normal((upper + 1) / 2)
    return (sigma * gap).clamp(min=0.0)

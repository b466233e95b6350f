"""What robust training lowers, and what its inner attack raises: functions of embeddings."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["feature_distance", "hard_targets", "item_margin", "shift", "toward"]


def shift(a: Float[Tensor, "B D"], b: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
    """One minus the cosine of unit vectors, 0 to 2."""
    return 1 - (a * b).sum(dim=1)


def toward(
    embeddings: Float[Tensor, "B D"], own: Float[Tensor, "B D"], targets: Float[Tensor, "B D"]
) -> Float[Tensor, " B"]:
    """How far embeddings have come from their own place toward a target: the difference of cosines.

    The item-to-item attack needs only the second; the first keeps a gradient where the target lies
    at a right angle.
    """
    return (embeddings * (targets - own)).sum(dim=1)


def item_margin(
    attacked: Float[Tensor, "B D"],
    own: Float[Tensor, "B D"],
    targets: Float[Tensor, "B D"],
    margin: float,
) -> Float[Tensor, " B"]:
    """``relu(margin + <f(x + d), t> - <f(x + d), f(x)>)``: the attacked photo stays nearer to
    itself than to the target, by a margin.
    """
    return F.relu(margin + toward(attacked, own, targets))


def feature_distance(
    features: Float[Tensor, "B D"], reference: Float[Tensor, "B D"]
) -> Float[Tensor, " B"]:
    """Squared L2 distance, in units of the reference's mean squared length.

    Source: Schlarmann et al., Robust CLIP (ICML 2024), equation 3, made independent of the scale.
    """
    scale = reference.square().sum(dim=1).mean().clamp(min=1e-12)
    return (features - reference).square().sum(dim=1) / scale


def hard_targets(
    embeddings: Float[Tensor, "B D"],
    labels: Int[Tensor, " B"],
    rng: torch.Generator,
    *,
    blur: float,
) -> Int[Tensor, " B"]:
    """For each photo of a batch a photo of another category, near ones first.

    Args:
        embeddings: unit vectors.
        labels: categories.
        rng: draws what is added to the cosines.
        blur: uniform noise of this size on the cosines; 0 takes the nearest, 2 any.

    Returns:
        ``(B,)`` positions in the batch; a photo's own where the batch has one category only.
    """
    cosines = embeddings @ embeddings.T
    draws = torch.rand(cosines.shape, generator=rng, device=cosines.device)
    same = labels[:, None] == labels[None, :]
    cosines = (cosines + blur * draws).masked_fill(same, -4.0)
    cosines.diagonal().fill_(-3.0)
    return cosines.argmax(dim=1)

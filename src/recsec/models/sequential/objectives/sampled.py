"""The softmax over a sample of the catalog, for catalogs whose whole softmax costs too much.

The sum over all items is estimated from items drawn for the step, half of them by popularity and
half evenly, each weighted by one over how often it is expected (importance sampling: Bengio &
Senecal, IEEE Transactions on Neural Networks 2008). With popularity alone this is the logQ
correction of Yi et al., RecSys 2019; the even half lets items that nobody meets move too (mixed
negatives: Yang et al., WWW 2020). The wanted item is in the sum for certain, so it is not
corrected, and where it was drawn besides it does not count twice.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsec.models.sequential.objectives.losses import Seen
from recsec.types import IntArray

__all__ = ["CATALOG", "DRAWN", "Drawn", "Sampler", "sampled_loss", "why_sampled"]

CATALOG = 200_000
"""Items from which on the loss is sampled."""

DRAWN = 8192
"""Items drawn for a step."""

CHUNK = 512


def why_sampled(items: int) -> str | None:
    """Why the softmax over so many items is sampled; None if it is not."""
    if items <= CATALOG:
        return None
    return (
        f"{items:,} items are more than {CATALOG:,}: each step draws {DRAWN:,} of them, half by "
        "popularity and half evenly, and corrects for it (sampled softmax, logQ)"
    )


class Drawn:
    """Items of one step.

    Args:
        items: ``(S,)`` catalog indices, some perhaps twice.
        weight: ``(S,)`` logarithm of how many items each stands for.
    """

    def __init__(self, items: Tensor, weight: Tensor) -> None:
        self.items, self.weight = items, weight
        known, self.kind = torch.unique(items, return_inverse=True)
        self.known = known

    def kinds(self, size: int) -> Tensor:
        """``(size,)`` for each catalog index which of the distinct items it is, else their number.

        Args:
            size: N + 1.
        """
        found = torch.full((size,), len(self.known), device=self.items.device)
        found[self.known] = torch.arange(len(self.known), device=self.items.device)
        return found


class Sampler:
    """Draws items, half of them by popularity and half evenly.

    Args:
        counts: ``(N + 1,)`` popularity; each item counts once more, so that none is impossible.
    """

    def __init__(self, counts: IntArray) -> None:
        weights = torch.from_numpy(counts[1:]).double() + 1
        self.popular = torch.cumsum(weights / weights.sum(), 0)
        self.chance = 0.5 * weights / weights.sum() + 0.5 / len(weights)

    def draw(self, count: int, generator: torch.Generator | None, device: torch.device) -> Drawn:
        """So many items, from a generator on this device."""
        half = count // 2
        u = torch.rand(count, generator=generator, device=device, dtype=torch.float64).cpu()
        liked = torch.searchsorted(self.popular, u[:half]).clamp_max(len(self.popular) - 1)
        evenly = (u[half:] * len(self.popular)).long().clamp_max(len(self.popular) - 1)
        items = torch.cat([liked, evenly])
        weight = -torch.log(self.chance[items] * count)
        return Drawn((items + 1).to(device), weight.float().to(device))


class _Sampled(torch.autograd.Function):
    """The sum and its gradients, both in the forward pass, a chunk of tokens at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        own: Tensor,
        others: Tensor,
        wanted: Tensor,
        drawn: Drawn,
        kinds: Tensor,
        seen: Seen | None,
        dtype: torch.dtype,
    ) -> Tensor:
        grad_hidden, grad_own = torch.empty_like(hidden), torch.empty_like(own)
        grad_others = torch.zeros_like(others)
        table = others.to(dtype)
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        for start in range(0, len(hidden), CHUNK):
            part = slice(start, start + CHUNK)
            x, target = hidden[part], own[part]
            logits = (x.to(dtype) @ table.T).float() + drawn.weight
            logits.masked_fill_(drawn.items == wanted[part], float("-inf"))
            if seen is not None:
                _hide(logits, kinds[seen(part)], drawn)
            mine = (x * target).sum(dim=1)
            whole = torch.logaddexp(torch.logsumexp(logits, dim=1), mine)
            total += (whole - mine).sum(dtype=torch.float64)
            chance = torch.exp(logits.sub_(whole[:, None])).to(dtype)
            rest = (torch.exp(mine - whole) - 1)[:, None]
            grad_hidden[part] = (chance @ table).float() + rest * target
            grad_own[part] = rest * x
            grad_others += (chance.T @ x.to(dtype)).float()
        ctx.save_for_backward(grad_hidden, grad_own, grad_others)
        return total.to(hidden.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        found = tuple(part * grads[0] for part in ctx.saved_tensors)
        return (*found, None, None, None, None, None)


def _hide(logits: Tensor, kinds: Tensor, drawn: Drawn) -> None:
    """Leave out of each row the items of ``kinds (C, L)``."""
    size = (len(logits), len(drawn.known) + 1)
    hidden = torch.zeros(size, dtype=torch.bool, device=logits.device)
    hidden.scatter_(1, kinds, True)
    logits.masked_fill_(hidden[:, drawn.kind], float("-inf"))


def sampled_loss(
    hidden: Float[Tensor, "T D"],
    items: Float[Tensor, "N1 D"],
    wanted: Int[Tensor, "T 1"],
    drawn: Drawn,
    *,
    seen: Seen | None = None,
) -> Float[Tensor, ""]:
    """An estimate of ``catalog_loss`` with one target of weight 1, from some of the items.

    Args:
        hidden: token representations.
        items: output embeddings; row 0 is padding and takes no part.
        wanted: catalog indices.
        drawn: of this step, the same for all tokens.
        seen: see ``catalog_loss``.
    """
    device = hidden.device.type
    fast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if fast else items.dtype
    own, others = items[wanted[:, 0]], items[drawn.items]
    total: Tensor = _Sampled.apply(  # type: ignore[no-untyped-call]
        hidden.float(),
        own.float(),
        others.float(),
        wanted,
        drawn,
        drawn.kinds(len(items)),
        seen,
        dtype,
    )
    return total

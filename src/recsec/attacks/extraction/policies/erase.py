"""Erase and ask again: leave out what the surrogate looks at, and see what the target says then."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recsec.attacks.extraction.policies.rounds import (
    RoundConfig,
    RoundPolicy,
    Seen,
    cut,
    oldest_first,
    rollouts,
)
from recsec.models import mask_history
from recsec.models.sequential.neural import NeuralRecommender
from recsec.targets import Chains
from recsec.types import FloatArray, IntArray

__all__ = ["EraseConfig", "EraseRequeryPolicy", "asked_histories", "saliency"]

BATCH = 256


class EraseConfig(RoundConfig):
    """Settings of ``EraseRequeryPolicy``."""

    share: float = Field(0.3, gt=0, lt=1, description="share of a history's items that is erased")
    pool: int = Field(2, gt=0, description="variants made for each that is asked")


class EraseRequeryPolicy(RoundPolicy):
    """Histories asked before, without the items that matter most to the surrogate's first choice.

    Of twice as many variants those are asked about which the surrogate is still confident: there a
    different answer of the target says most. A short list of ids hides everything but its top, and
    this makes the target show what stands behind it.

    Source: the idea of Wang et al., "Black-Box Dissector", ECCV 2022, for images. Self-distillation
    over random erasures is left out: distilling lists has no soft label to keep.
    """

    name = "erase-requery"
    config_class: ClassVar[type[RoundConfig]] = EraseConfig
    config: EraseConfig

    def choose(self, count: int, seen: Seen, rng: np.random.Generator) -> IntArray:
        """See ``RoundPolicy.choose``."""
        if seen.surrogate is None or seen.chains is None:
            grown = rollouts(self.sessions, None, count, self.config.longest, seen.k, rng)
            return cut(grown, count, rng)
        longest = min(self.config.longest, seen.surrogate.reach)
        histories = asked_histories(seen.chains, self.config.pool * count, longest, rng)
        parts = [histories[start : start + BATCH] for start in range(0, len(histories), BATCH)]
        found = [self._erased(seen.surrogate, part) for part in parts]
        variants = np.concatenate([variant for variant, _ in found])
        confident = np.concatenate([sure for _, sure in found])
        return variants[np.argsort(-confident, kind="stable")[:count]]

    def _erased(
        self, surrogate: NeuralRecommender, histories: IntArray
    ) -> tuple[IntArray, FloatArray]:
        """The histories without their most salient items, and how sure the surrogate still is."""
        weight = saliency(surrogate, histories).masked_fill(
            torch.from_numpy(histories == 0), -torch.inf
        )
        lengths = (histories > 0).sum(axis=1)
        erase = np.minimum(np.ceil(self.config.share * lengths), lengths - 1).astype(np.int64)
        order = weight.argsort(dim=1, descending=True, stable=True).numpy()
        rank = np.argsort(order, axis=1)
        variants = oldest_first(np.where(rank < erase[:, None], 0, histories))
        scores = mask_history(surrogate.scores(variants), torch.from_numpy(variants))
        return variants, scores.softmax(dim=1).amax(dim=1).double().numpy()


def saliency(surrogate: NeuralRecommender, histories: IntArray) -> Float[Tensor, "B L"]:
    """How much each item matters to the first choice of the surrogate: |gradient x embedding|.

    Args:
        surrogate: whose choice it is.
        histories: ``L <= surrogate.reach``.
    """
    kept: list[Tensor] = []

    def keep(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    surrogate.eval()
    items = torch.from_numpy(histories)
    handle = surrogate.items.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            hidden = surrogate.newest(items, (items > 0).sum(dim=1))
            scores = mask_history(hidden @ surrogate.item_table().T, items)
            scores.amax(dim=1).sum().backward()  # type: ignore[no-untyped-call]
    finally:
        handle.remove()
    surrogate.zero_grad(set_to_none=True)
    pull = kept[0].grad
    if pull is None:
        raise RuntimeError("the first choice does not depend on the history")
    return (pull * kept[0].detach()).sum(dim=2).abs()[:, : histories.shape[1]]


def asked_histories(chains: Chains, count: int, longest: int, rng: np.random.Generator) -> IntArray:
    """Histories ``(count, longest)`` of recorded calls, drawn with replacement, newest items."""
    asked = np.flatnonzero(chains.answers[:, 0] > 0)
    ends = asked[rng.integers(len(asked), size=count)]
    starts = chains.offsets[np.searchsorted(chains.offsets, ends, side="right") - 1]
    first = np.maximum(starts, ends + 1 - longest)
    places = first[:, None] + np.arange(longest)
    return np.where(places <= ends[:, None], chains.items[np.minimum(places, ends[:, None])], 0)

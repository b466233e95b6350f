"""The objective of a model that reads both ways: guess the items that were hidden."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsec.data.sequences import Split
from recsec.models.sequential.layers.windows import cut_windows, gather_windows, length_buckets
from recsec.models.sequential.objectives.losses import Seen, history_of
from recsec.models.sequential.objectives.ranking import Ranked, Ranking
from recsec.types import IntArray

__all__ = ["BothWays", "Cloze", "hide"]


class BothWays(Ranked, Protocol):
    """What the objective needs of its model: representations of hidden items."""

    items: nn.Embedding

    def encode(
        self, windows: Int[Tensor, "B L"], masked: Bool[Tensor, "B L"]
    ) -> Float[Tensor, "B L D"]:
        """Representation at every position; items at ``masked`` are not read."""
        ...


def hide(
    windows: IntArray, share: float, only_last: float, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Which positions of ``(B, L)`` windows are masked in this epoch.

    A share ``only_last`` of the windows hide their newest item and nothing else, which is what a
    recommendation asks; in the others each item is hidden with probability ``share``, and the
    newest one if none was drawn.

    Returns:
        Row and column of each masked position, both ``(M,)``, in order of rows.
    """
    real = windows > 0
    newest = np.maximum(real.sum(axis=1) - 1, 0)
    chosen = real & (rng.random(windows.shape) < share)
    chosen[rng.random(len(windows)) < only_last] = False
    bare = np.flatnonzero(~chosen.any(axis=1) & real.any(axis=1))
    chosen[bare, newest[bare]] = True
    row, column = np.nonzero(chosen)
    return row, column


class Cloze(Ranking):
    """Full-softmax cross-entropy of hidden items given all others of their window.

    Scores are computed at the masked positions only. The softmax leaves out what stands in the
    window for all to see, as in ``NextItem``.

    Args:
        model: a module.
        split: its training histories are learned.
        max_length: items of a window.
        batch_size: windows of a batch.
        mask_share: see ``hide``, as ``share``.
        only_last: see ``hide``.
    """

    model: BothWays

    def __init__(
        self,
        model: BothWays,
        split: Split,
        *,
        max_length: int,
        batch_size: int,
        mask_share: float,
        only_last: float,
    ) -> None:
        super().__init__(model, split)
        self.max_length, self.batch_size = max_length, batch_size
        self.mask_share, self.only_last = mask_share, only_last

    def epoch(self, rng: np.random.Generator) -> list[tuple[IntArray, IntArray, IntArray]]:
        """Windows ``(B, L)`` cut anew, with row and column of what is masked."""
        windows = cut_windows(self.split.train.offsets, self.max_length, rng)
        batches = []
        for rows in length_buckets(windows[:, 1] - windows[:, 0], self.batch_size, rng):
            items = gather_windows(self.split.train.items, windows[rows])
            batches.append((items, *hide(items, self.mask_share, self.only_last, rng)))
        return batches

    def tokens(self, batch: tuple[IntArray, IntArray, IntArray]) -> tuple[Tensor, Tensor, Seen]:
        """The masked positions."""
        device = self.model.items.weight.device
        items, row, column = (torch.from_numpy(part).to(device) for part in batch)
        wanted = items[row, column][:, None]
        masked = torch.zeros_like(items, dtype=torch.bool)
        masked[row, column] = True
        encoded = self.model.encode(items, masked)[row, column]
        everything = torch.full_like(column, items.shape[1] - 1)
        seen = history_of(items.masked_fill(masked, 0), row, everything, wanted)
        return encoded, wanted, seen

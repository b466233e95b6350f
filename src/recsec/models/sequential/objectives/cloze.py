"""The objective of a model that reads both ways: guess the items that were hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recsec.data.sequences import Split
from recsec.models.sequential.layers.windows import cut_windows, gather_windows, length_buckets
from recsec.models.sequential.objectives.losses import Seen, history_of
from recsec.models.sequential.objectives.next_item import Ranking
from recsec.types import IntArray

if TYPE_CHECKING:
    from recsec.models.sequential.bert4rec import Bert4Rec

__all__ = ["Cloze", "hide"]


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
    """

    model: Bert4Rec

    def __init__(self, model: Bert4Rec, split: Split) -> None:
        super().__init__(model, split)

    def epoch(self, rng: np.random.Generator) -> list[tuple[IntArray, IntArray, IntArray]]:
        """Windows ``(B, L)`` cut anew, with row and column of what is masked."""
        config = self.model.config
        windows = cut_windows(self.split.train.offsets, config.max_length - 1, rng)
        batches = []
        for rows in length_buckets(windows[:, 1] - windows[:, 0], config.batch_size, rng):
            items = gather_windows(self.split.train.items, windows[rows])
            batches.append((items, *hide(items, config.mask_share, config.only_last, rng)))
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

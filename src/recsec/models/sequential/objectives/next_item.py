"""The ordinary objective: predict the next item at every position of a window."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsec.data.sequences import Split
from recsec.models.sequential.layers.windows import cut_windows, gather_windows, length_buckets
from recsec.models.sequential.objectives.losses import Seen, history_of
from recsec.models.sequential.objectives.ranking import Ranked, Ranking
from recsec.types import IntArray

__all__ = ["Causal", "NextItem"]


class Causal(Ranked, Protocol):
    """What the objective needs of its model: representations that depend on nothing later."""

    items: nn.Embedding

    def hidden(self, windows: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Representation after each item; zeros on the right."""
        ...


class NextItem(Ranking):
    """Full-softmax cross-entropy of each item given those before it.

    The softmax leaves out what the window has seen so far, as the lists do that are served: the
    model need not learn to suppress it. An item that does come again stays a target.
    """

    model: Causal

    def __init__(self, model: Causal, split: Split, *, max_length: int, batch_size: int) -> None:
        super().__init__(model, split)
        self.max_length, self.batch_size = max_length, batch_size

    def epoch(self, rng: np.random.Generator) -> list[IntArray]:
        """Windows cut anew, in batches of similar length."""
        windows = cut_windows(self.split.train.offsets, self.max_length, rng)
        batches = length_buckets(windows[:, 1] - windows[:, 0], self.batch_size, rng)
        return [gather_windows(self.split.train.items, windows[rows]) for rows in batches]

    def tokens(self, batch: IntArray) -> tuple[Tensor, Tensor, Seen]:
        """The positions that have a next item."""
        windows = torch.from_numpy(batch).to(self.model.items.weight.device)
        inputs, targets = windows[:, :-1], windows[:, 1:]
        row, column = (targets > 0).nonzero(as_tuple=True)
        wanted = targets[row, column][:, None]
        seen = history_of(inputs, row, column, wanted)
        return self.model.hidden(inputs)[row, column], wanted, seen
